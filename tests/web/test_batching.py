"""Simultaneous calls are batched into one, and each caller gets its own result."""

import threading
import time
from functools import partial

import pytest

from tests.races.concurrency import Running, eventually, together
from web.batching import Batcher

pytestmark = pytest.mark.django_db(transaction=True)  # each caller has its own connection


class Doubler:
    """Doubles numbers in batches, and records each batch. Waits until the test sets `may_finish`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_finish = threading.Event()
        self.double = Batcher(self._double)

    def _double(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        assert self.may_finish.wait(20)
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


def test_a_single_call_runs_immediately() -> None:
    doubler = Doubler()
    doubler.may_finish.set()
    assert [doubler.double(1), doubler.double(2)] == [2, 4]
    assert doubler.batches == [[1], [2]]


def test_calls_that_arrive_during_a_call_are_batched_and_get_their_own_results() -> None:
    doubler = Doubler()
    first = Running(lambda: doubler.double(0))
    eventually(lambda: doubler.batches)
    callers = [Running(partial(doubler.double, number)) for number in range(1, 7)]
    eventually(lambda: doubler.double.waiting == 6)
    doubler.may_finish.set()
    assert first.result() == 0
    assert [caller.result() for caller in callers] == [2, 4, 6, 8, 10, 12]
    assert [sorted(numbers) for numbers in doubler.batches] == [[0], [1, 2, 3, 4, 5, 6]]


def test_an_error_affects_its_whole_batch_and_no_later_call() -> None:
    doubler = Doubler()
    first = Running(lambda: doubler.double(0))
    eventually(lambda: doubler.batches)
    callers = [Running(partial(doubler.double, number)) for number in (1, 13)]
    eventually(lambda: doubler.double.waiting == 2)
    doubler.may_finish.set()
    assert first.result() == 0
    for caller in callers:
        with pytest.raises(ValueError, match="13"):
            caller.result()
    assert doubler.double(3) == 6


def test_a_missing_result_is_an_error_and_no_call_hangs() -> None:
    batcher: Batcher[int, int] = Batcher(lambda numbers: [])
    with pytest.raises(ValueError, match="zip"):
        batcher(1)


def test_no_call_is_lost_under_load() -> None:
    served: list[int] = []

    def serve(numbers: list[int]) -> list[int]:
        time.sleep(0.001)
        served.extend(numbers)
        return numbers

    call = Batcher(serve)

    def call_repeatedly(caller: int) -> list[int]:
        return [call(caller * 100 + number) for number in range(100)]

    results = together(*[partial(call_repeatedly, caller) for caller in range(16)])
    assert results == [[caller * 100 + number for number in range(100)] for caller in range(16)]
    assert sorted(served) == list(range(1600))


def test_a_stuck_leader_does_not_block_other_calls() -> None:
    leader_may_finish, served = threading.Event(), []

    def serve(numbers: list[int]) -> list[int]:
        served.append(numbers)
        if numbers == [0]:
            leader_may_finish.wait(20)
        return numbers

    call = Batcher(serve, wait_seconds_max=0.3)
    first = Running(lambda: call(0))
    eventually(lambda: served == [[0]])
    assert call(1) == 1, "no leader had taken this call, so it leads its own batch"
    leader_may_finish.set()
    assert first.result() == 0
    assert call(2) == 2


def test_a_caller_whose_leader_never_comes_back_gives_up() -> None:
    leader_may_finish, served = threading.Event(), []

    def serve(numbers: list[int]) -> list[int]:
        served.append(numbers)
        if len(numbers) == 1:
            time.sleep(0.2)  # so that the other calls arrive in the meantime
        else:
            leader_may_finish.wait(20)
        return numbers

    call = Batcher(serve, wait_seconds_max=1)
    first = Running(lambda: call(0))
    eventually(lambda: served == [[0]])
    callers = [Running(lambda: call(1)), Running(lambda: call(2))]
    eventually(lambda: any(caller.is_done for caller in callers))
    leader_may_finish.set()
    first.result()
    eventually(lambda: all(caller.is_done for caller in callers))
    assert len(served[1]) == 2
    assert sorted(type(caller.outcome.error).__name__ for caller in callers) == ["NoneType", "TimeoutError"]
