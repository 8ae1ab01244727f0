"""A request waits in vain for a limited time, over all its waits together; what is answered costs nothing."""

import threading
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from tests.faults.silence import primary_cut
from tests.races.concurrency import Open, Running, eventually
from web.batching import Batcher
from web.cached import Cached
from web.patience import (
    MOMENT_SECONDS,
    REQUEST_SECONDS,
    RESERVED_SECONDS,
    AnswerInTime,
    deduct,
    limited_patience,
    seconds_left,
    waiting,
)


def test_without_a_request_each_wait_has_its_own_limit() -> None:
    deduct(5.0)
    assert seconds_left() is None
    assert seconds_left(5.0) == 5.0


def test_waits_in_vain_add_up() -> None:
    with limited_patience(2.0):
        assert seconds_left(1.0) == 1.0
        deduct(0.75)
        deduct(0.75)
        assert seconds_left(1.0) == 0.5
        deduct(0.01)
        assert seconds_left(1.0) == 0.5, "an answer may take a moment"
        deduct(3.0)
        assert seconds_left(1.0) == MOMENT_SECONDS
    assert seconds_left(1.0) == 1.0


def test_only_a_wait_that_ends_with_an_error_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("web.patience.time.monotonic", lambda: float(next(clock)))
    with limited_patience(10.0):
        with waiting():
            pass
        assert seconds_left() == 10.0
        with pytest.raises(ValueError, match="no answer"), waiting():
            raise ValueError("no answer")
        assert seconds_left() == 9.0


def test_optional_waits_leave_time_for_the_database() -> None:
    with limited_patience():
        deduct(seconds_left(60.0, optional=True))
        assert seconds_left(60.0, optional=True) == MOMENT_SECONDS
        assert seconds_left() == RESERVED_SECONDS


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/trades", "/account/login/", "/admin/", "/readyz", "/alpaca/v2/orders"])
def test_every_request_has_limited_patience(method: str, path: str) -> None:
    seconds: list[float | None] = []

    def view(request: HttpRequest) -> HttpResponse:
        seconds.append(seconds_left())
        return HttpResponse()

    AnswerInTime(view)(RequestFactory().generic(method, path))
    assert seconds == [REQUEST_SECONDS]
    assert seconds_left() is None


@pytest.mark.django_db(transaction=True)
def test_a_statement_may_take_as_long_as_the_server_works_on_it() -> None:
    with limited_patience(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(2.2)")
        cursor.execute("SELECT pg_sleep(0.7)")
        assert seconds_left() == REQUEST_SECONDS


@pytest.mark.django_db(transaction=True)
def test_many_statements_cost_nothing() -> None:
    with connection.cursor() as cursor, limited_patience(0.2):
        for _ in range(6):
            cursor.execute("SELECT pg_sleep(0.05)")
        assert seconds_left() == 0.2


@pytest.mark.django_db(transaction=True)
def test_a_statement_ends_early_if_the_server_answers_nobody() -> None:
    with primary_cut() as cut, limited_patience(), connection.cursor() as cursor:
        cut()
        with pytest.raises(OperationalError):
            cursor.execute("SELECT 1")
        assert 0 < seconds_left(60.0) < REQUEST_SECONDS


@pytest.mark.django_db(transaction=True)
def test_after_a_wait_in_vain_a_statement_may_take_what_is_left() -> None:
    with connection.cursor() as cursor, limited_patience():
        deduct(REQUEST_SECONDS - 0.2)
        with pytest.raises(OperationalError):
            cursor.execute("SELECT pg_sleep(3)")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@pytest.mark.django_db(transaction=True)
def test_a_wait_for_a_lock_is_in_vain() -> None:
    held = Open(lambda: connection.cursor().execute("LOCK TABLE trades_tradecounter"))
    with limited_patience(30.0), connection.cursor() as cursor:
        with pytest.raises(OperationalError):
            cursor.execute("SELECT 1 FROM trades_tradecounter")
        assert seconds_left(60.0) <= 29.0
    held.commit()


def test_waiting_for_another_threads_read_is_limited_too() -> None:
    is_reading, is_open = threading.Event(), threading.Event()

    def read() -> Any:
        is_reading.set()
        assert is_open.wait(20)
        raise OperationalError

    cached = Cached(read, 1.0)
    first = Running(cached.get)
    assert is_reading.wait(20)

    def impatient() -> None:
        with limited_patience(0.2):
            cached.get()

    second = Running(impatient)
    with pytest.raises(TimeoutError):
        second.result()
    is_open.set()
    with pytest.raises(OperationalError):
        first.result()


@pytest.mark.django_db(transaction=True)
def test_a_batch_has_the_patience_of_its_newest_call() -> None:
    is_open, seconds = threading.Event(), list[float]()

    def serve(numbers: list[int]) -> list[int]:
        assert is_open.wait(20)
        seconds.append(seconds_left(60.0))
        return numbers

    batcher = Batcher(serve)

    def call(number: int, seconds_max: float) -> Running:
        def run() -> int:
            with limited_patience(seconds_max):
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
def test_a_caller_whose_patience_ends_leaves_the_line_and_the_others_go_on() -> None:
    is_open = threading.Event()

    def double(numbers: list[int]) -> list[int]:
        assert is_open.wait(20)
        return [2 * number for number in numbers]

    batcher = Batcher(double)
    first = Running(lambda: batcher(1))
    eventually(lambda: batcher.is_led)

    def hurried() -> int:
        with limited_patience(0.2):
            return batcher(2)

    second = Running(hurried)
    eventually(lambda: batcher.waiting == 1)
    with pytest.raises(TimeoutError):
        second.result()
    third = Running(lambda: batcher(3))
    eventually(lambda: batcher.waiting == 1)
    is_open.set()
    assert (first.result(), third.result()) == (2, 6)
