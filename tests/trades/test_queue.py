"""Trades queued for the opening keep their place in line, hold nothing until then, and execute in order."""

import time
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import Customer
from exchange import market
from feed import reader
from tests.factories import StockFactory
from tests.people import claim, open_account, send_report
from trades import bell, checks, lane, queries
from trades.cancel import cancel_trade
from trades.checks import LineTooLong
from trades.controls import Kind, rules, set_control
from trades.explanation import explain
from trades.models import Status, Trade, WhenClosed
from trades.place import TradeKeyReused, place_trade
from web.valkey import cache_backoff

pytestmark = pytest.mark.django_db
QUEUE = WhenClosed.QUEUE


def set_hours(*, is_open: bool, changes_at: datetime | None = None) -> None:
    """Share market hours with all processes, as the sweep does: open or closed until `changes_at`."""
    change = changes_at or timezone.now() + timedelta(hours=12)
    hours = {
        "isOpen": is_open,
        "hours": "nyse",
        "nextOpen": change if not is_open else change + timedelta(hours=17),
        "nextClose": change if is_open else change + timedelta(hours=7),
    }
    cache_backoff.stop()  # on a machine that stood still for a moment
    cache.set(market.CLOCK_KEY, (time.time() + 3600, hours), 3600)
    market.forget()


@pytest.fixture
def closed() -> None:
    set_hours(is_open=False)


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let customers wait for the lanes as long as the test takes, so that the sweep never takes a turn itself."""
    monkeypatch.setattr(bell, "ACT_AFTER_SECONDS", 3600)


def queue(customer: Customer, **more: Any) -> Trade:
    """Place a trade that is queued if the market is closed."""
    return place_trade(customer.id, "AAPL", "BUY", 1, when_closed=QUEUE, **more)[0]


def due_customers() -> list[int]:
    return [turn.customer_id for turn in queries.due_customers(rules())]


def rung_customers() -> set[int]:
    return {customer_id for number in range(16) for batch in lane.collect_rings(number) for customer_id in batch}


@pytest.mark.usefixtures("closed")
def test_a_queued_trade_waits_and_is_not_due(alice: Customer) -> None:
    trade = queue(alice)
    trade.refresh_from_db()
    assert (trade.status, trade.when_closed, trade.queued_at) == (Status.PLACED, "queue", trade.placed_at)
    assert claim(alice) == []
    assert due_customers() == []
    assert bell.ring_for_queued("test") == 0
    assert explain(trade, []).startswith("It is queued until the market opens")


@pytest.mark.usefixtures("closed")
def test_later_trades_wait_behind_a_queued_trade(alice: Customer) -> None:
    first, second, third = queue(alice), place_trade(alice.id, "AAPL", "BUY", 1)[0], queue(alice)
    assert (claim(alice), due_customers()) == ([], [])
    set_hours(is_open=True)
    for trade in (first, second, third):
        assert claim(alice) == [trade]
        send_report(trade, Status.REJECTED)
    claim(alice)
    assert not Trade.objects.filter(status=Status.PLACED).exists()


@pytest.mark.usefixtures("closed")
def test_a_trade_that_is_not_queued_is_sent_while_the_market_is_closed(alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    assert due_customers() == [alice.id]
    assert claim(alice) == [trade]


@pytest.mark.usefixtures("closed")
def test_after_a_queued_trade_is_cancelled_the_next_continues(alice: Customer) -> None:
    trade, behind = queue(alice), place_trade(alice.id, "AAPL", "BUY", 1)[0]
    assert cancel_trade(alice.id, trade.id, "test").reason_code == "cancelled"
    assert due_customers() == [alice.id]
    assert claim(alice) == [behind]


def test_the_opening_bell_rings_for_each_customers_first_queued_trade(alice: Customer, bob: Customer) -> None:
    set_hours(is_open=False)
    alices, bobs = queue(alice), queue(bob)
    queue(bob)
    assert rung_customers() == set()
    set_hours(is_open=True)
    assert bell.ring_for_queued("test") == 2
    assert rung_customers() == {alice.id, bob.id}
    assert set(claim(alice, bob)) == {alices, bobs}
    assert bell.ring_for_queued("test") == 0, "each customer's first trade is in flight"


@pytest.mark.usefixtures("_patient")
def test_the_opening_bell_rings_in_batches_and_starts_again() -> None:
    set_hours(is_open=False)
    opening = bell.OpeningBell(waiting_min=3, waiting_max=3)
    customers = [open_account(f"p{number}@example.com", Decimal(1000)) for number in range(7)]
    for customer in customers:
        queue(customer)
    set_hours(is_open=True)
    batches: list[set[int]] = []
    for _ in range(4):
        opening.ring("test")
        assert opening.ring("test") == 0 or len(batches) == 2, "the next batch waits until the last one has been taken"
        batches.append(rung_customers())
    ids = [customer.id for customer in customers]
    assert batches[:2] == [set(ids[:3]), set(ids[3:6])]
    assert ids[6] in batches[2], "after the last customers the bell starts again"


@pytest.mark.usefixtures("_patient")
def test_the_opening_bell_lets_as_many_wait_as_the_lanes_serve_within_a_second() -> None:
    set_hours(is_open=False)
    opening = bell.OpeningBell(waiting_min=2, waiting_max=8)
    for number in range(40):
        queue(open_account(f"p{number}@example.com", Decimal(1000)))
    set_hours(is_open=True)
    rounds = []
    for _ in range(4):
        rounds.append((opening.ring("test"), len(rung_customers())))
    assert rounds == [(2, 2), (4, 4), (8, 8), (8, 8)], "more while the lanes serve all of them, up to a limit"
    assert (opening.ring("test"), opening.ring("test")) == (8, 0)
    assert opening.ring("test") == 0, "fewer while the lanes serve none of them"
    assert (len(rung_customers()), opening.ring("test")) == (8, 4)


@pytest.mark.usefixtures("_patient")
def test_a_few_served_are_made_up_for() -> None:
    set_hours(is_open=False)
    opening = bell.OpeningBell(waiting_min=4, waiting_max=4)
    customers = [open_account(f"p{number}@example.com", Decimal(1000)) for number in range(9)]
    for customer in customers:
        queue(customer)
    set_hours(is_open=True)
    assert opening.ring("test") == 4
    waiting = rung_customers()
    assert lane.ring(sorted(waiting)[:3])
    assert opening.ring("test") == 1, "three still wait"
    assert rung_customers() == {*sorted(waiting)[:3], customers[4].id}


def test_the_opening_bell_does_not_ring_for_halted_customers(alice: Customer, bob: Customer) -> None:
    set_hours(is_open=False)
    queue(alice)
    queue(bob)
    set_control(Kind.HALT_CUSTOMER, True, reason="test", by=bob, customer=bob)
    set_hours(is_open=True)
    assert queries.queued_customers(rules(), 0, 10) == ([alice.id, bob.id], [alice.id])


def test_a_trade_is_queued_when_its_turn_comes_after_the_close(alice: Customer) -> None:
    set_hours(is_open=True)
    first, second = queue(alice), queue(alice)
    assert (first.queued_at, second.queued_at) == (None, None)
    assert claim(alice) == [first]
    set_hours(is_open=False)
    send_report(first, Status.REJECTED)
    assert claim(alice) == []
    second.refresh_from_db()
    assert second.queued_at is not None
    assert second.queued_at > second.placed_at
    assert due_customers() == []
    set_hours(is_open=True)
    assert claim(alice) == [second]


def test_the_market_closes_on_time_even_before_the_sweep_has_read_new_hours(alice: Customer) -> None:
    set_hours(is_open=True, changes_at=timezone.now() - timedelta(seconds=1))
    assert not market.is_open()
    queue(alice)
    assert claim(alice) == []


def test_a_queued_trade_waits_while_market_hours_are_unknown(alice: Customer, settings: Any) -> None:
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    market.forget()
    queue(alice)
    assert claim(alice) == []


@pytest.mark.usefixtures("closed")
def test_the_feed_has_an_event_for_a_queued_trade(alice: Customer) -> None:
    queue(alice)
    place_trade(alice.id, "AAPL", "BUY", 1)
    (events,) = reader.read([(alice.id, reader.Cursor(0, 0))], reader.Cursor(2**62, 0), 10)
    assert [event.type for event in events][-2:] == ["trade.queued", "trade.placed"]


@pytest.mark.usefixtures("closed")
def test_the_same_key_with_another_when_closed_is_refused(alice: Customer) -> None:
    queue(alice, key="once")
    assert place_trade(alice.id, "AAPL", "BUY", 1, "once", when_closed=QUEUE)[1]
    with pytest.raises(TradeKeyReused):
        place_trade(alice.id, "AAPL", "BUY", 1, "once")


@pytest.mark.usefixtures("closed")
def test_a_customer_can_queue_a_limited_number_of_trades(alice: Customer, settings: Any) -> None:
    settings.OPEN_TRADES_OF_A_CUSTOMER_MAX = 2
    queue(alice)
    queue(alice)
    with pytest.raises(LineTooLong):
        queue(alice)
    checks.forget()
    assert alice.id not in checks.load().full_lines, "queued trades don't count as a full line"


@pytest.mark.usefixtures("closed")
def test_the_api_accepts_and_returns_when_closed(alice: Customer, api_of: Any) -> None:
    client: Client = api_of(alice)
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    queued = client.post("/api/v1/trades", body | {"whenClosed": "queue"}, "application/json").json()
    assert (queued["status"], queued["whenClosed"]) == ("PLACED", "queue")
    assert client.post("/api/v1/trades", body, "application/json").json()["whenClosed"] == "reject"
    refused = client.post("/api/v1/trades", body | {"whenClosed": "tomorrow"}, "application/json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "whenClosed")


@pytest.mark.usefixtures("closed")
def test_the_trade_ticket_preselects_queueing_while_the_market_is_closed(alice: Customer, client: Client) -> None:
    set_hours(is_open=False, changes_at=datetime.fromisoformat("2026-11-27T14:30:00+00:00"))
    client.force_login(alice)
    StockFactory.create(ticker="AAPL", name="Apple")
    market.forget()
    text = client.get("/stocks/AAPL/trade?type=SELL&quantity=1").content.decode()
    assert "Queue for the open, Fri 9:30 AM ET" in text
    assert text.index('value="queue" checked') < text.index('value="reject"')
    terms = {"type": "SELL", "quantity": "1", "key": "k", "when_closed": "queue"}
    trade_page = client.post("/stocks/AAPL/place", terms, follow=True).content.decode()
    assert Trade.objects.latest("id").when_closed == "queue"
    assert "Queued for the open" in trade_page
