"""Orders show the fields that the client sent: none is silently dropped or changed."""

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts import notices
from accounts.models import Customer
from alpaca_api.serializers import order as shown_as_order
from exchange import market
from feed import reader
from tests.alpaca_api.conftest import Alpaca
from tests.people import claim, send_report
from trades.models import Status, Trade
from trades.place import place_trade

AlpacaOf = Callable[[Customer], Alpaca]
ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "gtc"}


@pytest.fixture
def is_open() -> None:
    clock = {"isOpen": True, "hours": "always", "nextOpen": None, "nextClose": None}
    cache.set(market.CLOCK_KEY, (time.time() + 3600, clock), 3600)
    market.forget()


def updates_of(customer: Customer, trade_id: str) -> list[dict[str, Any]]:
    """Return the orders in the stream's updates about one trade."""
    (events,) = reader.read([(customer.id, reader.Cursor(0, 0))], reader.latest_cursor(), 100)
    return [shown_as_order(event.trade) for event in events if event.trade and str(event.trade.id) == trade_id]


@pytest.mark.django_db(transaction=True)  # otherwise the feed would wait for the test's own transaction to end
@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("good_for", ["day", "gtc"])
def test_an_order_always_shows_the_time_in_force_that_was_sent(
    alice: Customer, alpaca_of: AlpacaOf, good_for: str
) -> None:
    call = alpaca_of(alice)
    request = ORDER | {"time_in_force": good_for, "client_order_id": "Mine"}
    placed = call("POST", "orders", request)[1]
    claim(alice)
    send_report(Trade.objects.get(id=placed["id"]), Status.FILLED, Decimal("98.5"))
    claim(alice)
    orders = [
        placed,
        call("POST", "orders", request)[1],
        call("GET", f"orders/{placed['id']}")[1],
        call("GET", "orders:by_client_order_id?client_order_id=Mine")[1],
        *(order for order in call("GET", "orders?status=all")[1] if order["id"] == placed["id"]),
        *updates_of(alice, placed["id"]),
    ]
    assert {order["status"] for order in orders} == {"accepted", "new", "filled"}
    assert len(orders) == 8
    assert {order["time_in_force"] for order in orders} == {good_for}
    assert {order["client_order_id"] for order in orders} == {"Mine"}


def test_the_same_client_order_id_for_another_time_in_force_is_another_order(
    alice: Customer, alpaca_of: AlpacaOf
) -> None:
    call = alpaca_of(alice)
    assert call("POST", "orders", ORDER | {"client_order_id": "k"})[0] == 200
    status, body = call("POST", "orders", ORDER | {"client_order_id": "k", "time_in_force": "day"})
    assert (status, body["message"]) == (422, "client_order_id must be unique")


def test_an_order_of_a_release_that_kept_no_time_in_force_is_repeated_with_any(
    alice: Customer, alpaca_of: AlpacaOf
) -> None:
    call = alpaca_of(alice)
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1, "old", when_closed="queue")
    status, order = call("POST", "orders", ORDER | {"client_order_id": "old"})
    assert (status, order["id"], order["time_in_force"]) == (200, str(trade.id), "day")


@pytest.mark.parametrize(
    ("side", "intent", "status"),
    [
        ("buy", "buy_to_open", 200),
        ("buy", "buy_to_close", 422),
        ("buy", "sell_to_close", 422),
        ("sell", "sell_to_close", 200),
        ("sell", "sell_to_open", 422),
        ("sell", None, 200),
    ],
)
def test_only_the_intent_that_an_order_has_is_accepted(
    alice: Customer, alpaca_of: AlpacaOf, side: str, intent: str | None, status: int
) -> None:
    actual_status, order = alpaca_of(alice)("POST", "orders", ORDER | {"side": side, "position_intent": intent})
    assert actual_status == status
    if status == 200:
        assert order["position_intent"] == {"buy": "buy_to_open", "sell": "sell_to_close"}[side]
    else:
        assert order["message"].startswith("position_intent: not supported")


def test_after_hours_a_day_order_is_accepted_and_waits_for_the_opening(alice: Customer, alpaca_of: AlpacaOf) -> None:
    opens_at = timezone.now() + timedelta(hours=7)
    clock = {"isOpen": False, "hours": "nyse", "nextOpen": opens_at, "nextClose": opens_at + timedelta(hours=7)}
    cache.set(market.CLOCK_KEY, (time.time() + 3600, clock), 3600)
    market.forget()
    call = alpaca_of(alice)
    status, order = call("POST", "orders", ORDER | {"time_in_force": "day"})
    assert (status, order["status"]) == (200, "accepted")
    assert call("POST", "orders", ORDER | {"time_in_force": "opg"})[0] == 422
    trade = Trade.objects.get(id=order["id"])
    assert (trade.status, trade.when_closed, trade.queued_at) == (Status.PLACED, "queue", trade.placed_at)
    assert claim(alice) == []
    cache.set(market.CLOCK_KEY, (time.time() + 3600, clock | {"isOpen": True}), 3600)
    market.forget()
    claimed = claim(alice)
    trade.refresh_from_db()
    assert (claimed, trade.status, trade.reason_code) == ([trade], Status.IN_PROGRESS, "")


@pytest.mark.parametrize(
    ("asset_class", "count"), [("us_equity", 1), ("crypto", 0), ("us_option,us_equity", 1), ("us_option,crypto", 0)]
)
def test_orders_of_an_asset_class(alice: Customer, alpaca_of: AlpacaOf, asset_class: str, count: int) -> None:
    assert len(alpaca_of(alice)("GET", f"orders?status=all&asset_class={asset_class}")[1]) == count


def test_trade_confirm_email_switches_mail_about_trades(alice: Customer, alpaca_of: AlpacaOf) -> None:
    call = alpaca_of(alice)
    notices.set_muted(alice.id, {"transfers"})
    for value, muted in (("none", {"trades", "transfers"}), ("all", {"transfers"})):
        changed = call("PATCH", "account/configurations", {"trade_confirm_email": value})[1]
        assert changed["trade_confirm_email"] == value
        assert call("GET", "account/configurations")[1] == changed
        assert notices.muted_by(alice.id) == muted


@pytest.mark.parametrize(
    "unsupported",
    [{"dtbp_check": "both"}, {"pdt_check": "entry"}, {"max_options_trading_level": 2}, {"fractional_trading": True}],
)
def test_an_unsupported_configuration_is_refused(alice: Customer, alpaca_of: AlpacaOf, unsupported: Any) -> None:
    call = alpaca_of(alice)
    before = call("GET", "account/configurations")[1]
    assert call("PATCH", "account/configurations", before)[0] == 200, "the configuration can be sent back as received"
    assert call("PATCH", "account/configurations", unsupported)[0] == 422
    assert call("GET", "account/configurations")[1] == before
