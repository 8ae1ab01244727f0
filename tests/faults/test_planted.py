"""The checker detects bugs that these tests introduce on purpose."""

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
from tests.faults.lifecycle import Case, prepared, sweep_until_final, turn_that_claims, violations_of
from trades import place, queries, turn
from trades.market_now import market_now
from trades.models import Trade
from trades.tasks import turn as turn_task

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_SECONDS_MAX = 20.0


def run_simultaneously(*calls: Callable[[], Any]) -> None:
    """Run these calls simultaneously, each in a thread with its own connection."""

    def run(call: Callable[[], Any]) -> None:
        try:
            call()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
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
            cursor.execute("TRUNCATE trades_trade CASCADE")  # duplicate rows would prevent the index
            cursor.execute(definition)


def unlocked(customer_ids: Any) -> ledger.Books:
    """Open the books like `open_books`, but without the lock."""
    rows = Balance.objects.filter(customer_id__in=customer_ids)
    return ledger.Books(Account(row.customer_id, row.amount, row.held) for row in rows)


def test_updating_a_balance_without_a_lock(instant_exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(instant_exchange, 1)
    case.place("first")
    sweep_until_final(case.customer)
    assert violations_of([case]) == []
    barrier = threading.Barrier(2)

    def read_at_the_same_time(customer_ids: Any) -> ledger.Books:
        books = unlocked(customer_ids)
        barrier.wait(WAIT_SECONDS_MAX)
        return books

    monkeypatch.setattr(funding, "open_books", read_at_the_same_time)
    run_simultaneously(
        lambda: case.post("/api/v1/deposits", {"amount": "1.00"}, "one"),
        lambda: case.post("/api/v1/deposits", {"amount": "2.00"}, "two"),
    )
    assert any("another sum" in violation for violation in violations_of([case]))


def test_placing_without_the_unique_index_of_keys(
    instant_exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(instant_exchange, 1)
    barrier = threading.Barrier(2)
    find_replayed = place.find_replayed

    def find_at_the_same_time(*args: Any) -> Trade | None:
        trade = find_replayed(*args)
        barrier.wait(WAIT_SECONDS_MAX)
        return trade

    with without_index("one_trade_a_key"):
        monkeypatch.setattr(place, "find_replayed", find_at_the_same_time)
        run_simultaneously(lambda: case.place("first"), lambda: case.place("first"))
        monkeypatch.setattr(place, "find_replayed", find_replayed)
        sweep_until_final(case.customer)
        assert any("doubled" in violation for violation in violations_of([case]))


def test_claiming_with_skip_locked_within_a_customer(
    instant_exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(instant_exchange, 1)
    case.place("first")
    case.place("second")
    monkeypatch.setattr(turn, "open_books", unlocked)
    monkeypatch.setattr(ledger.Books, "add_to", lambda *_: None)  # whose row lock would block the second turn
    monkeypatch.setattr(
        queries,
        "READ_WORK",
        f"SELECT NULL, NULL, NULL, NULL, NULL, {', '.join(queries.TERMS)} FROM trades_trade"
        " WHERE customer_id = ANY(%(customers)s) AND status = 'PLACED' AND %(placed_max)s > 0"
        " ORDER BY sequence LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    first_is_claimed, second_is_sent = threading.Event(), threading.Event()

    def claim_slowly() -> None:
        with transaction.atomic():
            claimed = turn.serve(turn.open_books([case.customer.id]), market_now(), "slow")
            first_is_claimed.set()
            assert second_is_sent.wait(WAIT_SECONDS_MAX)
        turn.execute(claimed)

    def claim_quickly() -> None:
        assert first_is_claimed.wait(WAIT_SECONDS_MAX)
        with transaction.atomic():
            claimed = turn.serve(turn.open_books([case.customer.id]), market_now(), "quick")
        turn.execute(claimed)
        second_is_sent.set()

    with without_index("one_trade_in_flight"):
        run_simultaneously(claim_slowly, claim_quickly)
        assert any("out of order" in violation for violation in violations_of([case]))


@pytest.mark.process
def test_acknowledging_before_the_commit(instant_exchange: StandInExchange) -> None:
    case = Case(instant_exchange, 1)
    read_end, write_end = os.pipe()
    connections.close_all()
    if (pid := os.fork()) == 0:
        try:
            uncommitted = transaction.atomic()
            uncommitted._from_testcase = True  # type: ignore[attr-defined]  # otherwise Django would detect the bug
            with uncommitted:
                trade, _ = place.place_trade(case.customer.id, "KO", "BUY", 2, "first")
                os.write(write_end, json.dumps({"tradeId": str(trade.id), "status": "PLACED"}).encode())
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    os.close(write_end)
    os.waitpid(pid, 0)
    response = json.loads(os.read(read_end, 1000))
    body = {"stockTicker": "KO", "type": "BUY", "quantity": 2}
    case.record_request("/api/v1/trades", body, "first", 0.0, 201, response | {"price": None, "reasonCode": None})
    assert any("lost" in violation for violation in violations_of([case]))


def test_a_missing_sweep(instant_exchange: StandInExchange) -> None:
    case = Case(instant_exchange, 1)
    work = prepared(turn_that_claims, case)
    work()  # sends the trade to the exchange; its callback is lost, because nothing listens
    turn_task(lane=0)
    assert any("is IN PROGRESS" in violation for violation in violations_of([case]))
    sweep_until_final(case.customer)
    assert violations_of([case]) == []
