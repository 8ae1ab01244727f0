"""Simultaneous calls are batched into one, and each caller gets its own result."""

import threading
import time
from functools import partial

import pytest

from tests.races.at_once import Running, eventually, together
from web.batching import Batcher

pytestmark = pytest.mark.django_db(transaction=True)  # each of the callers has a connection


class Desk:
    """Doubles numbers, and keeps who was served with whom."""

    def __init__(self) -> None:
        self.sets: list[list[int]] = []
        self.open = threading.Event()
        self.double = Batcher(self._double)

    def _double(self, numbers: list[int]) -> list[int]:
        self.sets.append(numbers)
        assert self.open.wait(20)
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


def test_a_single_call_runs_immediately() -> None:
    desk = Desk()
    desk.open.set()
    assert [desk.double(1), desk.double(2)] == [2, 4]
    assert desk.sets == [[1], [2]]


def test_calls_that_arrive_meanwhile_run_together_with_their_own_results() -> None:
    desk = Desk()
    first = Running(lambda: desk.double(0))
    eventually(lambda: desk.sets)
    others = [Running(partial(desk.double, number)) for number in range(1, 7)]
    eventually(lambda: desk.double.waiting == 6)
    desk.open.set()
    assert first.result() == 0
    assert [other.result() for other in others] == [2, 4, 6, 8, 10, 12]
    assert [sorted(numbers) for numbers in desk.sets] == [[0], [1, 2, 3, 4, 5, 6]]


def test_an_error_affects_the_whole_set_and_no_later_call() -> None:
    desk = Desk()
    first = Running(lambda: desk.double(0))
    eventually(lambda: desk.sets)
    others = [Running(partial(desk.double, number)) for number in (1, 13)]
    eventually(lambda: desk.double.waiting == 2)
    desk.open.set()
    assert first.result() == 0
    for other in others:
        with pytest.raises(ValueError, match="13"):
            other.result()
    assert desk.double(3) == 6


def test_a_missing_result_is_an_error_and_no_call_hangs() -> None:
    forgetful: Batcher[int, int] = Batcher(lambda numbers: [])
    with pytest.raises(ValueError, match="zip"):
        forgetful(1)


def test_no_call_is_lost_under_load() -> None:
    served: list[int] = []

    def serve(numbers: list[int]) -> list[int]:
        time.sleep(0.001)
        served.extend(numbers)
        return numbers

    ask = Batcher(serve)

    def several(caller: int) -> list[int]:
        return [ask(caller * 100 + number) for number in range(100)]

    answers = together(*[partial(several, caller) for caller in range(16)])
    assert answers == [[caller * 100 + number for number in range(100)] for caller in range(16)]
    assert sorted(served) == list(range(1600))


def test_a_stuck_leader_does_not_block_other_calls() -> None:
    held, served = threading.Event(), []

    def serve(numbers: list[int]) -> list[int]:
        served.append(numbers)
        if numbers == [0]:
            held.wait(20)
        return numbers

    call = Batcher(serve, wait_seconds_max=0.3)
    first = Running(lambda: call(0))
    eventually(lambda: served == [[0]])
    assert call(1) == 1, "nobody had taken it, so it leads"
    held.set()
    assert first.result() == 0
    assert call(2) == 2


def test_a_caller_whose_leader_never_comes_back_gives_up() -> None:
    held, served = threading.Event(), []

    def serve(numbers: list[int]) -> list[int]:
        served.append(numbers)
        if len(numbers) == 1:
            time.sleep(0.2)  # so that the others come meanwhile
        else:
            held.wait(20)
        return numbers

    call = Batcher(serve, wait_seconds_max=1)
    first = Running(lambda: call(0))
    eventually(lambda: served == [[0]])
    others = [Running(lambda: call(1)), Running(lambda: call(2))]
    eventually(lambda: any(other.is_done for other in others))
    held.set()
    first.result()
    eventually(lambda: all(other.is_done for other in others))
    assert len(served[1]) == 2
    assert sorted(type(other.outcome.error).__name__ for other in others) == ["NoneType", "TimeoutError"]
