"""Simultaneous turns for the same customers, while orders and reports arrive."""

import random
import threading
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.utils import IntegrityError

from accounts import ledger
from accounts.account import Account
from accounts.ledger import Books
from accounts.models import Balance, Customer, Posting
from tests.conftest import StandInExchange
from tests.people import claim, report_body, send_report, take_rung_customers
from tests.races.concurrency import Open, outcomes, rows, together, violations, watching
from tests.races.conftest import CUSTOMERS
from trades import lane, queries, sweep, tasks
from trades.models import FINAL, Report, Status, StatusChange, Trade
from trades.place import place_trade
from trades.report import store_reports
from trades.turn import take_turn

TURNS = 6
TRADES_EACH = 10


def buy(customer: Customer) -> Trade:
    return place_trade(customer.id, "AAPL", "BUY", 1)[0]


def test_simultaneous_turns_claim_one_trade(alice: Customer) -> None:
    first, _ = buy(alice), buy(alice)
    claimed = together(*[lambda: claim(alice)] * TURNS)
    assert sorted(map(len, claimed)) == [0] * (TURNS - 1) + [1]
    assert [trade for trades in claimed for trade in trades] == [first]
    assert Balance.objects.get(customer=alice).held == 1000


def test_simultaneous_turns_settle_a_report_once(alice: Customer) -> None:
    trade = buy(alice)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100))
    together(*[lambda: claim(alice)] * TURNS)
    assert Posting.objects.filter(cause=trade.id).count() == 2
    assert StatusChange.objects.filter(trade=trade, to_status=Status.FILLED).count() == 1
    assert Balance.objects.get(customer=alice).amount == 900


def test_simultaneous_turns_orders_and_reports_keep_every_promise(crowd: list[Customer]) -> None:
    all_final = threading.Event()

    def place(customer: Customer) -> None:
        random_source = random.Random(customer.id)
        for _ in range(TRADES_EACH):
            place_trade(customer.id, "AAPL", random_source.choice(["BUY", "SELL"]), random_source.choice([1, 2, 99]))

    def work(seed: int) -> None:
        random_source = random.Random(seed)
        while not all_final.is_set():
            claim(*random_source.sample(crowd, random_source.randint(1, CUSTOMERS)))

    def report() -> None:
        """Play the exchange: fill or reject every trade in flight, several times."""
        random_source = random.Random(0)
        while not all_final.is_set():
            trades = list(Trade.objects.filter(status=Status.IN_PROGRESS))
            for trade in trades:
                status = random_source.choice([Status.FILLED, Status.FILLED, Status.REJECTED])
                body = report_body(trade, status, Decimal(10))
                store_reports([body, body], Report.Source.CALLBACK)
            if not trades and not Trade.objects.exclude(status__in=FINAL).exists() and all_placed.is_set():
                all_final.set()

    all_placed = threading.Event()

    def place_all() -> None:
        together(*[lambda customer=customer: place(customer) for customer in crowd])
        all_placed.set()

    with watching(violations) as watch:
        together(place_all, report, report, *[lambda seed=seed: work(seed) for seed in range(3)])
    assert watch.checks > 1
    assert watch.violations == set()
    claim(*crowd)
    assert set(Trade.objects.values_list("status", flat=True)) <= set(FINAL)
    assert Trade.objects.count() == CUSTOMERS * (TRADES_EACH + 1)
    assert Balance.objects.filter(held=0).count() == CUSTOMERS


def test_simultaneous_turns_in_opposite_order_do_not_deadlock(crowd: list[Customer]) -> None:
    for customer in crowd:
        buy(customer)
    claims = outcomes(*[lambda: claim(*crowd), lambda: claim(*reversed(crowd))] * 4)
    assert [outcome.error for outcome in claims if outcome.error] == []
    assert sum(len(outcome.value) for outcome in claims) == CUSTOMERS


def test_a_locked_customer_does_not_block_other_customers_turns(
    exchange: StandInExchange, alice: Customer, bob: Customer
) -> None:
    alices_trade, bobs_trade = buy(alice), buy(bob)
    lock = Open(lambda: ledger.open_books([alice.id]))
    try:
        together(lambda: take_turn([alice.id, bob.id], "test"))
        bobs_trade.refresh_from_db()
        alices_trade.refresh_from_db()
        assert (bobs_trade.status, alices_trade.status) == (Status.IN_PROGRESS, Status.PLACED)
        place_trade(alice.id, "AAPL", "BUY", 1)  # placing does not wait either
    finally:
        lock.roll_back()
    take_turn([alice.id, bob.id], "test")
    alices_trade.refresh_from_db()
    assert alices_trade.status == Status.IN_PROGRESS
    received = [entry["tradeId"] for entry in exchange.record()]
    assert received.count(str(alices_trade.id)) == received.count(str(bobs_trade.id)) == 1


def test_threads_that_ring_at_once_send_one_message(alice: Customer) -> None:
    assert together(*[lambda: lane.ring([alice.id])] * TURNS) == [True] * TURNS
    assert lane.broker().llen(lane.queue_key(lane.lane_of(alice.id))) == 1


def test_a_duplicated_ring_takes_one_turn(exchange: StandInExchange, alice: Customer, monkeypatch: Any) -> None:
    trade = buy(alice)
    turns: list[list[int]] = []

    def record_and_take_turn(customer_ids: Collection[int], by: str) -> None:
        turns.append(list(customer_ids))
        take_turn(customer_ids, by)

    monkeypatch.setattr(tasks, "take_turn", record_and_take_turn)
    alices_lane = lane.lane_of(alice.id)
    together(*[lambda: tasks.turn(lane=alices_lane, from_a_newer_release=True)] * TURNS)
    assert turns == [[alice.id]]
    (entry,) = [entry for entry in exchange.record() if entry["tradeId"] == str(trade.id)]
    assert entry["timesReceived"] == 1


def test_a_ring_during_a_turn_is_not_lost(crowd: list[Customer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane.settings, "LANES", 1)
    take_rung_customers(0)
    rung: list[int] = []
    all_rung = threading.Event()

    def listen() -> None:
        while not all_rung.is_set():
            rung.extend(take_rung_customers(0))

    def ring() -> None:
        for _ in range(50):
            for customer in crowd:
                assert lane.ring([customer.id])
        all_rung.set()

    together(ring, listen, listen)
    remaining = take_rung_customers(0)
    # A ring may arrive after the last collection. Its customers remain in the set for the next turn.
    assert set(rung) | set(remaining) == {customer.id for customer in crowd}


def test_simultaneous_sweeps_ask_about_each_trade_once(
    exchange: StandInExchange, crowd: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = [buy(customer) for customer in crowd]
    take_turn([customer.id for customer in crowd], "test")
    Trade.objects.filter(status=Status.IN_PROGRESS).update(ask_at="2026-01-01T00:00Z")
    asked_ids: list[Any] = []
    ask = sweep.gateway.ask_with_time

    def record_and_ask(trade_id: UUID) -> Any:
        asked_ids.append(trade_id)
        return ask(trade_id)

    monkeypatch.setattr(sweep.gateway, "ask_with_time", record_and_ask)
    counts = together(*[sweep.ask_exchange] * TURNS)
    assert sum(counts) == CUSTOMERS
    assert sorted(asked_ids) == sorted(trade.id for trade in trades)


def test_simultaneous_sweeps_that_take_turns_claim_each_trade_once(
    exchange: StandInExchange, crowd: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = [buy(customer) for customer in crowd for _ in range(2)]
    monkeypatch.setattr(sweep, "RING_AFTER_SECONDS", 0)
    monkeypatch.setattr(sweep, "ACT_AFTER_SECONDS", 0)
    together(*[lambda: sweep.ring_for_waiting("test")] * TURNS)
    trade_ids = {str(trade.id) for trade in trades}
    received = [entry for entry in exchange.record() if entry["tradeId"] in trade_ids]
    assert [entry["timesReceived"] for entry in received] == [1] * CUSTOMERS
    assert Trade.objects.filter(status=Status.IN_PROGRESS).count() == CUSTOMERS


# -- the checker and the constraints detect what the code prevents


def unlocked_books(all_have_read: threading.Barrier) -> Callable[[Any], Books]:
    """Return an `open_books` that takes no lock; all of its callers read before any of them writes."""

    def open_books(customer_ids: Any) -> Books:
        balances = Balance.objects.filter(customer_id__in=customer_ids).order_by("customer_id")
        books = Books(Account(row.customer_id, row.amount, row.held) for row in balances)
        all_have_read.wait(5)
        return books

    return open_books


def test_the_checker_detects_books_opened_without_the_lock(
    bob: Customer, monkeypatch: pytest.MonkeyPatch, breaks_a_promise: None
) -> None:
    from accounts import funding

    monkeypatch.setattr(funding, "open_books", unlocked_books(threading.Barrier(2)))
    together(*[lambda: funding.withdraw(bob.id, Decimal(300))] * 2)
    assert {violation.split(":")[0] for violation in violations()} == {
        "cash is the sum of its postings",
        "each posting follows the one before",
    }


READ_WORK_DESPITE_ONE_IN_FLIGHT = queries.READ_WORK.replace("status = 'IN PROGRESS'", "status = 'no such status'")


def test_the_database_refuses_a_second_trade_in_flight(alice: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    place_trade(alice.id, "AAPL", "SELL", 1)
    place_trade(alice.id, "AAPL", "SELL", 1)
    monkeypatch.setattr(queries, "READ_WORK", READ_WORK_DESPITE_ONE_IN_FLIGHT)
    claim(alice)
    with pytest.raises(IntegrityError, match="one_trade_in_flight"):
        claim(alice)
    assert rows("SELECT held FROM accounts_position WHERE customer_id = %s", alice.id) == [(1,)]


def test_the_checker_detects_a_second_trade_in_flight(
    alice: Customer, monkeypatch: pytest.MonkeyPatch, breaks_a_promise: None
) -> None:
    place_trade(alice.id, "AAPL", "SELL", 1)
    place_trade(alice.id, "AAPL", "SELL", 1)
    index = next(constraint for constraint in Trade._meta.constraints if constraint.name == "one_trade_in_flight")
    monkeypatch.setattr(queries, "READ_WORK", READ_WORK_DESPITE_ONE_IN_FLIGHT)
    with connection.schema_editor() as editor:
        editor.remove_constraint(Trade, index)
    try:
        with watching(violations) as watch:
            claim(alice)
            claim(alice)
        assert "one trade in flight" in {violation.split(":")[0] for violation in watch.violations}
        second = Trade.objects.filter(status=Status.IN_PROGRESS).latest("sequence")
        send_report(second, Status.REJECTED)
        claim(alice)
    finally:
        with connection.schema_editor() as editor:
            editor.add_constraint(Trade, index)


def test_locks_in_different_orders_deadlock(crowd: list[Customer], breaks_a_promise: None) -> None:
    """Without a fixed order of locks, the database must resolve a deadlock."""
    first, second = crowd[0].id, crowd[1].id
    each_holds_one = threading.Barrier(2)

    def lock(*ids: int) -> None:
        from django.db import transaction

        with transaction.atomic():
            ledger.open_books([ids[0]])
            each_holds_one.wait(5)
            ledger.open_books([ids[1]])

    results = outcomes(lambda: lock(first, second), lambda: lock(second, first))
    assert [outcome.error for outcome in results].count(None) == 1
    assert "deadlock" in str(next(outcome.error for outcome in results if outcome.error))


def test_one_turn_can_settle_a_buy_and_claim_a_sell_of_the_same_stock(alice: Customer) -> None:
    bought = buy(alice)
    place_trade(alice.id, "AAPL", "SELL", 11)
    claim(alice)
    send_report(bought, Status.FILLED, Decimal(100))
    (sold,) = claim(alice)
    assert rows("SELECT quantity, held FROM accounts_position WHERE customer_id = %s", alice.id) == [(11, 11)]
    send_report(sold, Status.FILLED, Decimal(100))
    claim(alice)
    assert rows("SELECT quantity, held FROM accounts_position WHERE customer_id = %s", alice.id) == [(0, 0)]
