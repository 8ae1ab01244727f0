"""Batching: make calls that arrive at the same moment as one.

A door serves many callers at once, each in a thread of its own, and asking the database for one of them costs nearly as
much as asking for ten. The first caller runs immediately; callers that arrive meanwhile are batched into the next call.
Nobody waits for company, and the busier it is, the cheaper each call becomes.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

WAIT_SECONDS_MAX = 20.0  # longer than any transaction may take

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Call(Generic[Asked, Answer]):
    """One caller's, from asking to being answered."""

    __slots__ = ("answer", "asked", "error", "is_done", "wake")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answer: Answer
        self.error: BaseException | None = None
        self.is_done = False
        self.wake = threading.Lock()  # released once it is done, or once this caller is to lead
        self.wake.acquire()


class Batcher(Generic[Asked, Answer]):
    """Make a function of one value from `do`, which takes a list and returns an answer for each, in order.

    Any number of threads may call it. `do` runs in the thread of one of the callers, the leader, one call at a time.
    What it raises, all callers of that batch raise.
    """

    def __init__(self, do: Callable[[list[Asked]], list[Answer]], wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
        """Make a batcher.

        Args:
            do: Answers a batch.
            wait_seconds_max: How long a caller waits for a leader. After that the leader counts as dead: a caller that
                is not in its batch leads the next one, and a caller that is gives up.
        """
        self._do, self._wait_seconds_max = do, wait_seconds_max
        self._lock = threading.Lock()
        self._waiting: list[_Call[Asked, Answer]] = []
        self._is_led = False

    def __call__(self, asked: Asked) -> Answer:
        """Return the answer for one value.

        Raises:
            TimeoutError: The leader died with this value in its batch. What was asked for may have happened, or not.
        """
        call: _Call[Asked, Answer] = _Call(asked)
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
        """Whether a call is under way."""
        return self._is_led

    @property
    def waiting(self) -> int:
        """How many callers wait for the next batch."""
        return len(self._waiting)

    def _wait(self, call: _Call[Asked, Answer]) -> None:
        if call.wake.acquire(timeout=self._wait_seconds_max):
            return
        with self._lock:
            if call in self._waiting:  # no leader has taken it: this caller leads
                call.wake.acquire(blocking=False)  # where it was to lead just now
                return
        raise TimeoutError("the batch was not answered in time")

    def _lead(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        try:
            for call, answer in zip(calls, self._do([call.asked for call in calls]), strict=True):
                call.answer = answer
        except BaseException as error:  # noqa: BLE001 — whatever it is, those that wait must hear of it
            for call in calls:
                call.error = error
        with self._lock:
            if self._waiting:
                self._waiting[0].wake.release()  # the next to lead
            else:
                self._is_led = False
        for call in calls:
            call.is_done = True
            call.wake.release()
