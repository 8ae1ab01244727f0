"""A request that changes something waits a limited time, over all its waits together."""

import threading
import time

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from tests.races.concurrency import Running, eventually
from web.batching import Batcher
from web.deadline import REQUEST_SECONDS_MAX, AnswerInTime, deadline, seconds_left


def test_without_a_deadline_each_wait_has_its_own_limit() -> None:
    assert seconds_left() is None
    assert seconds_left(5.0) == 5.0


def test_a_deadline_ends_all_waits_together() -> None:
    with deadline(0.2):
        assert seconds_left(0.1) == 0.1
        remaining = seconds_left(5.0)
        assert remaining is not None
        assert 0 < remaining <= 0.2
        time.sleep(0.25)
        assert seconds_left(5.0) == 0
    assert seconds_left(5.0) == 5.0


@pytest.mark.parametrize(
    ("method", "path", "is_limited"),
    [
        ("POST", "/api/v1/trades", True),
        ("POST", "/cash/deposit", True),
        ("GET", "/api/v1/trades", False),
        ("DELETE", "/alpaca/v2/orders", False),
        ("POST", "/admin/trades/trade/", False),
        ("POST", "/api/v1/tokens", False),
    ],
)
def test_requests_that_change_something_have_a_deadline(method: str, path: str, is_limited: bool) -> None:
    remaining: list[float | None] = []

    def view(request: HttpRequest) -> HttpResponse:
        remaining.append(seconds_left())
        return HttpResponse()

    AnswerInTime(view)(RequestFactory().generic(method, path))
    assert (remaining[0] is not None) == is_limited
    assert (remaining[0] or 0) <= REQUEST_SECONDS_MAX


@pytest.mark.django_db(transaction=True)
def test_statements_wait_no_longer_than_the_deadline() -> None:
    began = time.monotonic()
    with deadline(0.4), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.2)")
        with pytest.raises(OperationalError):
            cursor.execute("SELECT pg_sleep(3)")
    assert time.monotonic() - began < 1.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@pytest.mark.django_db(transaction=True)
def test_a_batch_has_the_time_of_its_newest_call() -> None:
    is_open, seconds = threading.Event(), list[float]()

    def serve(numbers: list[int]) -> list[int]:
        assert is_open.wait(20)
        seconds.append(seconds_left(60.0))
        return numbers

    batcher = Batcher(serve)

    def call(number: int, seconds_max: float) -> Running:
        def run() -> int:
            with deadline(seconds_max):
                return batcher(number)

        waiting = batcher.waiting
        running = Running(run)
        eventually(lambda: batcher.is_led and (number == 1 or batcher.waiting > waiting))
        return running

    calls = [call(1, 30), call(2, 5), call(3, 30)]
    is_open.set()
    assert [running.result() for running in calls] == [1, 2, 3]
    assert min(seconds) > 10, "the call that waited longest doesn't hurry the others"


@pytest.mark.django_db(transaction=True)
def test_a_caller_whose_deadline_passes_leaves_the_line_and_the_others_go_on() -> None:
    is_open = threading.Event()

    def double(numbers: list[int]) -> list[int]:
        assert is_open.wait(20)
        return [2 * number for number in numbers]

    batcher = Batcher(double)
    first = Running(lambda: batcher(1))
    eventually(lambda: batcher.is_led)

    def hurried() -> int:
        with deadline(0.2):
            return batcher(2)

    second = Running(hurried)
    eventually(lambda: batcher.waiting == 1)
    with pytest.raises(TimeoutError):
        second.result()
    third = Running(lambda: batcher(3))
    eventually(lambda: batcher.waiting == 1)
    is_open.set()
    assert (first.result(), third.result()) == (2, 6)
