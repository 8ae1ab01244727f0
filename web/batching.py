"""Batching: combine calls that arrive at the same time into one.

A door serves many callers at once, each in its own thread, and one database query for a single caller costs nearly as
much as one for ten. The first caller runs immediately; callers that arrive meanwhile are batched into the next call.
No call is delayed to fill a batch, and the higher the load, the cheaper each call becomes.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from web.patience import deduct, seconds_left

WAIT_SECONDS_MAX = 20.0  # longer than any transaction may take

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class _Call(Generic[Request, Answer]):
    """One caller's request and, later, its answer."""

    __slots__ = ("answer", "error", "is_done", "request", "wake")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answer: Answer
        self.error: BaseException | None = None
        self.is_done = False
        self.wake = threading.Lock()  # released when the call is done, or when this caller must lead the next batch
        self.wake.acquire()


class Batcher(Generic[Request, Answer]):
    """Turn `do`, which answers a list of requests in order, into a function of one request.

    Any number of threads may call it. `do` runs in the thread of one of the callers, the leader, one batch at a time.
    If it raises, every caller of that batch gets the error.
    """

    def __init__(self, do: Callable[[list[Request]], list[Answer]], wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
        """Create a batcher.

        Args:
            do: Answers a batch.
            wait_seconds_max: How long a caller waits for the leader. After that the leader counts as dead: a caller
                outside the leader's batch leads the next one; a caller inside it gives up.
        """
        self._do, self._wait_seconds_max = do, wait_seconds_max
        self._lock = threading.Lock()
        self._waiting: list[_Call[Request, Answer]] = []
        self._is_led = False

    def __call__(self, request: Request) -> Answer:
        """Return the answer to one request.

        Raises:
            TimeoutError: The leader died with this request in its batch, so the request may or may not have been
                executed; or this caller's deadline passed before its request was in a batch.
        """
        call: _Call[Request, Answer] = _Call(request)
        with self._lock:
            self._waiting.append(call)
            leads, self._is_led = not self._is_led, True
        if not leads:
            self._wait(call)
        if not call.is_done:
            self._lead()
        if call.error is not None:
            raise call.error
        return call.answer

    @property
    def is_led(self) -> bool:
        """Whether a batch is running."""
        return self._is_led

    @property
    def waiting(self) -> int:
        """How many callers wait for the next batch."""
        return len(self._waiting)

    def _wait(self, call: _Call[Request, Answer]) -> None:
        patience, began = seconds_left(self._wait_seconds_max), time.monotonic()
        is_woken = call.wake.acquire(timeout=patience)
        deduct(time.monotonic() - began)  # even if the batch ends well, or the waits of several batches would add up
        if is_woken:
            return
        with self._lock:
            if call in self._waiting:
                is_chosen = call.wake.acquire(blocking=False)  # as leader, at this moment
                if is_chosen or patience == self._wait_seconds_max:
                    return  # the leader is dead, so this caller leads
                self._waiting.remove(call)
        raise TimeoutError("the batch was not answered in time")

    def _lead(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        try:
            for call, answer in zip(calls, self._do([call.request for call in calls]), strict=True):
                call.answer = answer
        except BaseException as error:  # noqa: BLE001 — every waiting caller must get the error, whatever it is
            for call in calls:
                call.error = error
        with self._lock:
            if self._waiting:
                self._waiting[-1].wake.release()  # leads next: the newest call's deadline is the latest
            else:
                self._is_led = False
        for call in calls:
            call.is_done = True
            call.wake.release()
