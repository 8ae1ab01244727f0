"""A corporate action's effect on an account is an event in its customer's feed, written with the postings."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts import tokens
from accounts.models import Customer
from brokerage.asgi import Application
from feed import reader
from feed.reader import Cursor, Event
from tests.feed.conftest import SocketClient
from tests.people import claim, send_report
from trades import corporate_actions
from trades.corporate_actions import apply_due, enter
from trades.models import CorporateAction, Entitlement, Status, StatusChange
from trades.place import place_trade
from web.timezones import eastern_today
from webhooks import subscriptions
from webhooks.models import Delivery
from webhooks.queue import enter_events

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_halt_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply actions without waiting until other processes have read the halt."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)


def pay_dividend(amount: str = "0.25") -> CorporateAction:
    today = eastern_today()
    terms = {"ex_date": today + timedelta(days=1), "pay_date": today, "amount_per_share": Decimal(amount)}
    action = enter(CorporateAction(kind="CASH_DIVIDEND", ticker="AAPL", **terms), "staff 1")
    apply_due()
    return action


def split(numerator: int, denominator: int) -> CorporateAction:
    terms = {"numerator": numerator, "denominator": denominator, "reference_price": Decimal(50)}
    terms["ex_date"] = eastern_today() - timedelta(days=4)  # a session has opened since, even over a long weekend
    action = enter(CorporateAction(kind="SPLIT", ticker="AAPL", **terms), "staff 1")
    apply_due()
    return action


def rewrite(values: str) -> None:
    """Change the existing entitlements, which the database protects."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trades_entitlement DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE trades_entitlement SET {values}")
        cursor.execute("ALTER TABLE trades_entitlement ENABLE TRIGGER USER")


def events_of(customer: Customer, each_max: int = 100, after: Cursor = Cursor(0, 0)) -> list[Event]:
    (events,) = reader.read([(customer.id, after)], reader.latest_cursor(), each_max)
    return events


def test_dividends_and_splits_are_in_the_feed_in_chronological_order(alice: Customer, bob: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    claim(alice)
    pay_dividend()
    send_report(trade, Status.FILLED, Decimal(10))
    claim(alice)
    split(3, 2)
    place_trade(alice.id, "AAPL", "SELL", 1)
    types = [event.type for event in events_of(alice)][3:]  # without the events of her first purchase
    assert types == [
        *("trade.placed", "trade.in_progress", "dividend.paid", "trade.filled", "split.applied", "trade.placed"),
    ]
    assert events_of(bob) == [], "Bob holds no shares"


def test_an_event_shows_the_terms_and_the_customers_entitlement(alice: Customer, api_of: Callable[..., Client]) -> None:
    dividend_action, split_action = pay_dividend(), split(3, 4)
    response = api_of(alice).get("/api/v1/events?after=0", headers={"Accept": "application/json"}).json()
    dividend, applied = (event for event in response["results"] if event["corporateAction"])
    assert dividend["trade"] is None
    assert dividend["corporateAction"] == {
        "actionId": str(dividend_action.id),
        "kind": "CASH_DIVIDEND",
        "stockTicker": "AAPL",
        "newTicker": "",
        "exDate": str(dividend_action.ex_date),
        "payDate": str(dividend_action.pay_date),
        "amountPerShare": "0.2500",
        "numerator": None,
        "denominator": None,
        "shares": 10,
        "sharesAfter": 10,
        "amount": "2.5000",
    }
    assert applied["corporateAction"]["actionId"] == str(split_action.id)
    terms = [applied["corporateAction"][name] for name in ("numerator", "denominator", "shares", "sharesAfter")]
    assert (terms, applied["corporateAction"]["amount"]) == ([3, 4, 10, 7], "25.0000")


def test_a_reader_can_resume_after_any_event(alice: Customer) -> None:
    place_trade(alice.id, "MSFT", "BUY", 1)
    pay_dividend()
    pay_dividend("0.5")
    claim(alice)
    all_events, one_by_one = events_of(alice), list[Event]()
    while events := events_of(alice, 1, one_by_one[-1].cursor if one_by_one else Cursor(0, 0)):
        one_by_one += events
    assert (
        [event.id for event in one_by_one]
        == [event.id for event in all_events]
        == sorted({event.id for event in all_events})
    )
    assert [event.type for event in all_events].count("dividend.paid") == 2


def test_a_turn_with_an_earlier_transaction_number_comes_after_the_dividend(alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "MSFT", "BUY", 1)
    pay_dividend()
    rewrite("xact = 1099511627776")  # as if its transaction had begun after the turn's but committed first
    claim(alice)
    assert StatusChange.objects.get(to_status="IN PROGRESS", trade=trade).xact == 2**40
    pay_dividend("0.5")
    assert [entitlement.xact for entitlement in Entitlement.objects.order_by("event")] == [2**40, 2**40]


def test_webhooks_can_subscribe_to_corporate_actions_alone(alice: Customer, bob: Customer) -> None:
    subscriptions.create(alice.id, "https://example.com/hook", events=["dividend.paid"])
    subscriptions.create(bob.id, "https://example.com/hook")
    assert enter_events() == 0
    pay_dividend()
    split(2, 1)
    assert (enter_events(), enter_events()) == (1, 0)
    delivery = Delivery.objects.get()
    body: dict[str, Any] = json.loads(delivery.body)
    assert (delivery.type, body["type"], body["corporateAction"]["amount"]) == (
        *("dividend.paid", "dividend.paid"),
        "2.5000",
    )


def test_entitlements_older_than_these_events_are_not_in_the_feed(alice: Customer) -> None:
    pay_dividend()
    assert "dividend.paid" in [event.type for event in events_of(alice)]
    rewrite("xact = NULL, event = NULL")
    assert "dividend.paid" not in [event.type for event in events_of(alice)]


def test_the_trade_updates_socket_omits_corporate_actions(alice: Customer, application: Application) -> None:
    async def scenario() -> None:
        client = SocketClient(application, "after=0")
        await client.sign_in(issued)
        await client.listen("trade_updates")
        await client.wait_until(lambda: len(client.event_ids) >= len(trades))
        assert client.event_ids == trades
        await client.leave()

    place_trade(alice.id, "MSFT", "BUY", 1)
    pay_dividend()
    claim(alice)
    trades = [event.id for event in events_of(alice) if event.trade]
    assert len(trades) == len(events_of(alice)) - 1
    issued = tokens.issue(alice, "stream")
    asyncio.run(scenario())
