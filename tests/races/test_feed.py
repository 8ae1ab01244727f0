"""Transactions that write events commit in any order; a reader of the feed still gets every event exactly once."""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts import notice_mail
from feed import reader
from feed.reader import Cursor
from tests.people import claim, find_ended_trades, open_account, send_report
from trades import mails, transitions
from trades.models import Status, StatusChange, Trade, TradeCounter, TradeMail
from trades.place import place_trade
from trades.transitions import Placing


def read_next(customer_id: int, cursor: Cursor, each_max: int = 7) -> tuple[Cursor, list[reader.Event]]:
    """Read the next events, as a stream does; return the new cursor and the events."""
    latest = reader.latest_cursor()
    (events,) = reader.read([(customer_id, cursor)], latest, each_max)
    return (events[-1].cursor if len(events) == each_max else max(cursor, latest)), events


@pytest.mark.django_db(transaction=True)
def test_an_event_waits_for_an_earlier_one_that_has_not_committed() -> None:
    alice = open_account("alice@example.com", Decimal("1000"))
    first, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    cursor, events = read_next(alice.id, Cursor(0, 0))
    assert [(event.trade.id, event.type) for event in events if event.trade] == [(first.id, "trade.placed")]
    written, may_commit = threading.Event(), threading.Event()
    late_trades: list[Trade] = []

    def place_slowly() -> None:
        try:
            with transaction.atomic():
                trade = Trade(customer_id=alice.id, ticker="IBM", type="BUY", quantity=1)
                assert transitions.insert_trades([Placing(trade, "test")]) == [True]
                written.set()
                may_commit.wait(20)
            late_trades.append(Trade.objects.get(id=trade.id))
        finally:
            connection.close()

    thread = threading.Thread(target=place_slowly)
    thread.start()
    assert written.wait(20)
    assert claim(alice) == [first]
    cursor, events = read_next(alice.id, cursor)
    assert events == [], "the claim has committed, but an earlier event has not"
    may_commit.set()
    thread.join()
    cursor, events = read_next(alice.id, cursor)
    assert [(event.trade.id, event.type) for event in events if event.trade] == [
        (late_trades[0].id, "trade.placed"),
        (first.id, "trade.in_progress"),
    ]
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert read_next(alice.id, cursor)[1] == []


@pytest.mark.django_db(transaction=True)
def test_a_reader_gets_each_event_once_and_in_order_while_many_write() -> None:
    customers = [open_account(f"c{n}@example.com", Decimal("100000")) for n in range(3)]
    writing = threading.Event()
    writing.set()

    def place() -> None:
        try:
            for number in range(40):
                place_trade(customers[number % 3].id, "AAPL", "BUY", 1)
        finally:
            connection.close()

    def take_turns() -> None:
        try:
            while writing.is_set():
                for trade in claim(*customers):
                    send_report(trade, Status.FILLED, Decimal("10"))
        finally:
            connection.close()

    placers, turn_taker = [threading.Thread(target=place) for _ in range(3)], threading.Thread(target=take_turns)
    for thread in [*placers, turn_taker]:
        thread.start()
    cursors = {customer.id: Cursor(0, 0) for customer in customers}
    received: dict[int, list[reader.Event]] = {customer.id: [] for customer in customers}

    def read() -> None:
        for customer in customers:
            cursors[customer.id], events = read_next(customer.id, cursors[customer.id])
            received[customer.id] += events

    while any(thread.is_alive() for thread in placers):
        read()
    writing.clear()
    turn_taker.join()
    for _ in range(200):
        read()
    for customer in customers:
        change_ids = [event.cursor.change for event in received[customer.id]]
        assert len(change_ids) == len(set(change_ids)), "no event may come twice"
        assert set(change_ids) == set(
            StatusChange.objects.filter(customer_id=customer.id).values_list("id", flat=True)
        ), "no event may be missing"
        assert [event.id for event in received[customer.id]] == sorted(event.id for event in received[customer.id])
        statuses_of: dict[object, list[str]] = {}
        for event in received[customer.id]:
            assert event.trade is not None
            statuses_of.setdefault(event.trade.id, []).append(event.trade.status)
        lifecycle = [Status.PLACED, Status.IN_PROGRESS, Status.FILLED]
        assert all(statuses == lifecycle[: len(statuses)] for statuses in statuses_of.values())


@pytest.mark.django_db(transaction=True)
def test_a_lower_transaction_number_that_commits_later_is_later_in_the_feed() -> None:
    """A batch's transaction gets its number at its first counter, but may reach a later counter after another one."""
    alice = open_account("alice@example.com", Decimal("1000"))
    place_trade(alice.id, "AAPL", "BUY", 1)
    begun, other_placed = threading.Event(), threading.Event()
    numbers: list[int] = []

    def place_later() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()::text::bigint")
                numbers.append(cursor.fetchone()[0])
                begun.set()
                assert other_placed.wait(20)
                trade = Trade(customer_id=alice.id, ticker="IBM", type="BUY", quantity=1)
                assert transitions.insert_trades([Placing(trade, "test")]) == [True]
        finally:
            connection.close()

    thread = threading.Thread(target=place_later)
    thread.start()
    assert begun.wait(20)
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 2)
    other_placed.set()
    thread.join()
    first, second, third = StatusChange.objects.filter(customer_id=alice.id).order_by("id")
    assert first.xact < numbers[0] < second.xact == third.xact
    assert (second.trade_id, third.trade.sequence) == (trade.id, 3)
    assert TradeCounter.objects.get(customer=alice).xact == second.xact


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("preparing", [(mails, "prepare"), (notice_mail, "_mail")], ids=["trades", "notices"])
def test_events_do_not_wait_for_mails_that_are_being_prepared(
    preparing: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preparing mails takes long when many trades end or the machine is busy."""
    mails.find_ended()
    alice = open_account("alice@example.com", Decimal("1000"))
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("10"))
    claim(alice)
    find_ended_trades()
    TradeMail.objects.update(due_at=Now())
    begun, may_continue = threading.Event(), threading.Event()
    module, name = preparing
    prepare = getattr(module, name)

    def prepare_slowly(*arguments: Any) -> Any:
        begun.set()
        may_continue.wait(20)
        return prepare(*arguments)

    monkeypatch.setattr(module, name, prepare_slowly)

    def send_notices() -> None:
        try:
            mails.mail_trades()
            notice_mail.send_notices()
        finally:
            connection.close()

    sender = threading.Thread(target=send_notices)
    sender.start()
    assert begun.wait(20)
    next_trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    _, events = read_next(alice.id, Cursor(0, 0), 100)
    may_continue.set()
    sender.join()
    assert next_trade.id in {event.trade.id for event in events if event.trade}
    assert [message.subject for message in mail.outbox] == ["Bought 1 AAPL at $10.00", "Deposit of $1,000.00"]


@pytest.mark.django_db
def test_an_event_shows_its_trade_as_it_was_then() -> None:
    alice = open_account("alice@example.com", Decimal("1000"))
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 2)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("10"))
    claim(alice)
    (events,) = reader.read([(alice.id, Cursor(0, 0))], Cursor(2**62, 0), 10)
    assert [(event.trade.status, event.trade.price, event.holding) for event in events if event.trade] == [
        ("PLACED", None, None),
        ("IN PROGRESS", None, None),
        ("FILLED", Decimal("10"), 2),
    ]
    assert Cursor.parse(events[0].id) == events[0].cursor
    for invalid in ("", "x", "f" * 32, "0" * 31, "0" * 33):
        with pytest.raises(ValueError):
            Cursor.parse(invalid)
