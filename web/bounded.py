"""Bounded work: a process does CPU-heavy work for only one request at a time, and only a few requests wait for it."""

import os
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

LOW_PRIORITY = 10  # niceness


def lower_priority() -> None:
    """Give this thread, and the threads that it starts, CPU time only while no other process needs it.

    Use it for work that releases the interpreter's lock. A low-priority thread that holds the lock would hold up the
    whole process.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)


class Bounded:
    """One kind of work. Only a few requests may wait for their turn, because each of them occupies a thread."""

    def __init__(self, waiting_max: int, wait_seconds_max: float, refusal: type[Exception]) -> None:
        self._wait_seconds_max, self._refusal = wait_seconds_max, refusal
        self._working = threading.Lock()
        self._places = threading.BoundedSemaphore(1 + waiting_max)
        self._owners: set[Hashable] = set()
        self._owners_lock = threading.Lock()

    @contextmanager
    def turn(self, owner: Hashable = None) -> Iterator[None]:
        """Wait for a turn and keep it while the context is open.

        Args:
            owner: The customer for whom the work is done, who can have only one turn at a time, including waiting ones;
                None: no limit.

        Raises:
            refusal: Too many requests are waiting, the owner has a turn already, or this one waited too long.
        """
        # The owner first: someone who asks again and again takes no place away from others, not even for a moment.
        with self._only_one(owner), self._place():
            if not self._working.acquire(timeout=self._wait_seconds_max):
                raise self._refusal
            try:
                yield
            finally:
                self._working.release()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise self._refusal
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def _only_one(self, owner: Hashable) -> Iterator[None]:
        if owner is None:
            yield
            return
        with self._owners_lock:
            if owner in self._owners:
                raise self._refusal
            self._owners.add(owner)
        try:
            yield
        finally:
            with self._owners_lock:
                self._owners.discard(owner)
