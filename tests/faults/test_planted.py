"""The checker works: mistakes planted into the software are each detected."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections, transaction

from accounts import funding, ledger
from accounts.account import Account
from accounts.models import Balance
from tests.conftest import StandInExchange
from tests.faults.life import Case, judge, prepared, sweep_until_final, turn_that_claims
from trades import place, queries, turn
from trades.market_now import market_now
from trades.models import Trade
from trades.tasks import turn as turn_task

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_SECONDS_MAX = 20.0


def at_once(*calls: Callable[[], Any]) -> None:
    """Make these calls in parallel, each in a thread with its own connection."""

    def make(call: Callable[[], Any]) -> None:
        try:
            call()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=make, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS_MAX)
        assert not thread.is_alive()


@contextmanager
def without_index(name: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexdef, relname FROM pg_indexes JOIN pg_class ON relname = tablename WHERE indexname = %s", [name]
        )
        definition, _ = cursor.fetchone()
        cursor.execute(f"DROP INDEX {name}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE trades_trade CASCADE")  # what was doubled can't be indexed
            cursor.execute(definition)


def unlocked(customer_ids: Any) -> ledger.Books:
    """`open_books`, as somebody who forgets the lock would write it."""
    rows = Balance.objects.filter(customer_id__in=customer_ids)
    return ledger.Books(Account(row.customer_id, row.amount, row.held) for row in rows)


def test_no_lock(willing: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(willing, 1)
    case.place("first")
    sweep_until_final(case.customer)
    assert judge([case]) == []
    both = threading.Barrier(2)

    def read_together(customer_ids: Any) -> ledger.Books:
        books = unlocked(customer_ids)
        both.wait(WAIT_SECONDS_MAX)
        return books

    monkeypatch.setattr(funding, "open_books", read_together)
    at_once(
        lambda: case.post("/api/v1/deposits", {"amount": "1.00"}, "one"),
        lambda: case.post("/api/v1/deposits", {"amount": "2.00"}, "two"),
    )
    assert any("another sum" in words for words in judge([case]))


def test_no_unique_index(willing: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(willing, 1)
    both = threading.Barrier(2)
    find_replayed = place.find_replayed

    def look_together(*args: Any) -> Trade | None:
        found = find_replayed(*args)
        both.wait(WAIT_SECONDS_MAX)
        return found

    with without_index("one_trade_a_key"):
        monkeypatch.setattr(place, "find_replayed", look_together)
        at_once(lambda: case.place("first"), lambda: case.place("first"))
        monkeypatch.setattr(place, "find_replayed", find_replayed)
        sweep_until_final(case.customer)
        assert any("doubled" in words for words in judge([case]))


def test_skip_locked_within_a_customer(willing: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(willing, 1)
    case.place("first")
    case.place("second")
    monkeypatch.setattr(turn, "open_books", unlocked)
    monkeypatch.setattr(ledger.Books, "add_to", lambda *_: None)  # or the balance's row would keep the second one out
    monkeypatch.setattr(
        queries,
        "READ_WORK",
        f"SELECT NULL, NULL, NULL, NULL, NULL, {', '.join(queries.TERMS)} FROM trades_trade"
        " WHERE customer_id = ANY(%(customers)s) AND status = 'PLACED' AND %(placed_max)s > 0"
        " ORDER BY sequence LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    has_the_first, second_is_out = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction.atomic():
            claimed = turn.serve(turn.open_books([case.customer.id]), market_now(), "slow")
            has_the_first.set()
            assert second_is_out.wait(WAIT_SECONDS_MAX)
        turn.execute(claimed)

    def quickly() -> None:
        assert has_the_first.wait(WAIT_SECONDS_MAX)
        with transaction.atomic():
            claimed = turn.serve(turn.open_books([case.customer.id]), market_now(), "quick")
        turn.execute(claimed)
        second_is_out.set()

    with without_index("one_trade_in_flight"):
        at_once(slowly, quickly)
        assert any("out of order" in words for words in judge([case]))


@pytest.mark.process
def test_acknowledging_before_the_commit(willing: StandInExchange) -> None:
    case = Case(willing, 1)
    reading, writing = os.pipe()
    connections.close_all()
    if (pid := os.fork()) == 0:
        try:
            not_yet = transaction.atomic()
            not_yet._from_testcase = True  # type: ignore[attr-defined]  # or Django would see what is planted here
            with not_yet:
                trade, _ = place.place_trade(case.customer.id, "KO", "BUY", 2, "first")
                os.write(writing, json.dumps({"tradeId": str(trade.id), "status": "PLACED"}).encode())
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    os.close(writing)
    os.waitpid(pid, 0)
    answer = json.loads(os.read(reading, 1000))
    body = {"stockTicker": "KO", "type": "BUY", "quantity": 2}
    case.note("/api/v1/trades", body, "first", 0.0, 201, answer | {"price": None, "reasonCode": None})
    assert any("lost" in words for words in judge([case]))


def test_no_sweep(willing: StandInExchange) -> None:
    case = Case(willing, 1)
    work = prepared(turn_that_claims, case)
    work()  # it is at the exchange; its callback is lost, for nobody listens
    turn_task(lane=0)
    assert any("is IN PROGRESS" in words for words in judge([case]))
    sweep_until_final(case.customer)
    assert judge([case]) == []
