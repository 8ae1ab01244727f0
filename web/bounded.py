"""Bounded work: what takes a core for long is done one at a time in a process, and few requests wait for it."""

import os
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

LOW_PRIORITY = 10  # niceness


def lower_priority() -> None:
    """Let this thread, and the threads that it starts, have a core only while others leave one.

    For work that computes without the interpreter's lock: with the lock, the whole process would wait for its core.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)


class Bounded:
    """Work of one kind. Each request that waits for its turn keeps one of its process's threads, so few may."""

    def __init__(self, waiting_max: int, wait_seconds_max: float, refusal: type[Exception]) -> None:
        self._wait_seconds_max, self._refusal = wait_seconds_max, refusal
        self._at_work = threading.Lock()
        self._places = threading.BoundedSemaphore(1 + waiting_max)
        self._owners: set[Hashable] = set()
        self._owners_lock = threading.Lock()

    @contextmanager
    def turn(self, whose: Hashable = None) -> Iterator[None]:
        """Wait for a turn and keep it while the context is open.

        Args:
            whose: Has one place at most; None: it is nobody's.

        Raises:
            refusal: All places are taken, or `whose` has one already, or no turn came in time.
        """
        with self._place(), self._only_one(whose):
            if not self._at_work.acquire(timeout=self._wait_seconds_max):
                raise self._refusal
            try:
                yield
            finally:
                self._at_work.release()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise self._refusal
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def _only_one(self, whose: Hashable) -> Iterator[None]:
        if whose is None:
            yield
            return
        with self._owners_lock:
            if whose in self._owners:
                raise self._refusal
            self._owners.add(whose)
        try:
            yield
        finally:
            with self._owners_lock:
                self._owners.discard(whose)
