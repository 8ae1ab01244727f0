"""Calls that come at the same moment are made as one.

A door serves many callers at once, each in a thread of its own, and what one of them asks of the database costs nearly
as much as what ten do. Who comes while nothing is under way goes at once, alone. Who comes meanwhile waits until that
is done, and then goes with all who came. Nobody waits for company, and the busier it is, the cheaper each becomes.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

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
        self.wake = threading.Lock()  # released once it is done, or once it is this caller's to lead
        self.wake.acquire()


class Batcher(Generic[Asked, Answer]):
    """`do`, which takes a list and answers each in its order, as a function of one, to be called from many threads.

    What `do` raises, all of those raise whom it was done for. It runs in the thread of one of them, one call at a time.
    """

    def __init__(self, do: Callable[[list[Asked]], list[Answer]]) -> None:
        self._do = do
        self._lock = threading.Lock()
        self._waiting: list[_Call[Asked, Answer]] = []
        self._is_led = False

    def __call__(self, asked: Asked) -> Answer:
        call: _Call[Asked, Answer] = _Call(asked)
        with self._lock:
            self._waiting.append(call)
            leads, self._is_led = not self._is_led, True
        if not leads:
            call.wake.acquire()
        if not call.is_done:
            self._lead()
        if call.error is not None:
            raise call.error
        return call.answer

    def _lead(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        try:
            for call, answer in zip(calls, self._do([call.asked for call in calls]), strict=True):
                call.answer = answer
        except BaseException as error:  # noqa: BLE001 — whatever it is, who waits must hear of it
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
