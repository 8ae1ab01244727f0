"""CPU-intensive work runs one at a time, with a short queue."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import Argon2PasswordHasher

from accounts.passwords import BoundedArgon2Hasher
from web import pdf, rate_limits
from web.bounded import LOW_PRIORITY, Bounded
from web.documents import DocumentLimitReached, TooManyDocuments, making, turn


class Refused(Exception):
    pass


def test_one_runs_at_a_time_and_only_a_few_wait() -> None:
    work = Bounded(waiting_max=2, wait_seconds_max=20.0, refusal=Refused)
    may_finish, running = threading.Event(), list[int]()

    def take(number: int) -> str:
        try:
            with work.turn():
                running.append(number)
                assert may_finish.wait(20)
                return "done"
        except Refused:
            return "refused"

    with ThreadPoolExecutor(6) as pool:
        outcomes = [pool.submit(take, number) for number in range(6)]
        while sum(outcome.done() for outcome in outcomes) < 3:
            may_finish.wait(0.01)
        assert len(running) == 1
        may_finish.set()
        assert sorted(outcome.result() for outcome in outcomes) == ["done"] * 3 + ["refused"] * 3


def test_a_caller_holds_one_place_and_gives_it_back() -> None:
    work = Bounded(waiting_max=5, wait_seconds_max=0.01, refusal=Refused)
    for _ in range(10):
        with ExitStack() as stack:
            stack.enter_context(work.turn("alice"))
            for caller in ("alice", "bob"):  # Alice already has a place; Bob gets no turn in time
                with pytest.raises(Refused), work.turn(caller):
                    pytest.fail("two at once")


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_passwords_are_hashed_at_low_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Argon2PasswordHasher, "encode", lambda *_: str(niceness()))
    monkeypatch.setattr(Argon2PasswordHasher, "verify", lambda *_: niceness() == LOW_PRIORITY)
    before = niceness()
    hasher = BoundedArgon2Hasher()
    assert hasher.encode("password", "salt") == str(LOW_PRIORITY)
    assert hasher.verify("password", "encoded")
    assert niceness() == before < LOW_PRIORITY


def test_a_customer_can_have_a_limited_number_of_documents_made_per_minute(settings: Any) -> None:
    settings.DOCUMENTS_A_MINUTE = 3
    rate_limits.reset()
    with time_machine.travel(datetime(2031, 3, 3, 12, tzinfo=UTC), tick=False) as clock:
        for _ in range(3):
            with turn(1):
                pass
        with pytest.raises(DocumentLimitReached), turn(1):
            pytest.fail("the fourth document was made")
        with turn(2):
            pass
        clock.shift(120)
        with turn(1):
            pass


def test_each_customer_can_have_one_document_made_at_a_time() -> None:
    table = pdf.Table([["Time", "Amount"], ["1", "$1.00"]], [1, 1], 1)
    is_first, may_finish = threading.Event(), threading.Event()

    def make_document(customer_id: int) -> bytes | None:
        try:
            with making.turn(customer_id):
                is_first.set()
                assert may_finish.wait(20)
                return pdf.document("Statement", "November", [table], "USD")
        except TooManyDocuments:
            return None

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(make_document, 1)
        assert is_first.wait(20)
        assert [make_document(1), make_document(1)] == [None, None]
        of_another = pool.submit(make_document, 2)
        may_finish.set()
        for outcome in (first, of_another):
            document = outcome.result()
            assert document is not None
            assert document.startswith(b"%PDF")


def test_an_owner_who_asks_again_and_again_takes_no_place_from_others() -> None:
    work = Bounded(waiting_max=1, wait_seconds_max=20.0, refusal=Refused)
    is_over = threading.Event()

    def insist() -> None:
        while not is_over.is_set():
            with pytest.raises(Refused), work.turn("alice"):
                pytest.fail("two at once")

    def wait_for_turn(started: threading.Event) -> str:
        started.set()
        with work.turn("bob"):
            return "done"

    with ThreadPoolExecutor(4) as pool:
        insistent = []
        try:
            for _ in range(50):
                with work.turn("alice"):
                    insistent = [pool.submit(insist) for _ in range(3)]
                    started = threading.Event()
                    other = pool.submit(wait_for_turn, started)
                    assert started.wait(20)
                    is_over.wait(0.005)
                    is_over.set()
                    for outcome in insistent:
                        outcome.result()
                assert other.result() == "done"
                is_over.clear()
        finally:
            is_over.set()
