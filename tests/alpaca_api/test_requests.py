"""Edge-case requests are refused in Alpaca's error format, naming the parameter."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pytest
import time_machine
from rest_framework import serializers

from accounts.models import Customer
from alpaca_api import orders
from alpaca_api.schema import AlpacaActivitySerializer
from alpaca_api.serializers import CASH_ACTIVITIES, SHARE_ACTIVITIES
from exchange import market
from tests.alpaca_api.conftest import Alpaca
from tests.factories import PositionFactory, StockFactory
from tests.people import open_account
from trades.models import Trade
from trades.place import QUANTITY_MAX, place_trade
from web.timezones import eastern_date

AlpacaOf = Callable[[Customer], Alpaca]
NUMBERS = [
    "1e99999999999999999999",
    "-1e99999999999999999999",
    "1e-99999999999999999999",
    "1" + "0" * 5000,
    "1e999",
    "0",
]
ORDER = '{{"symbol": "AAPL", "side": "sell", "type": "market", "time_in_force": "day", "{name}": {value}}}'


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: value[:12])
@pytest.mark.parametrize(
    "name",
    ["qty", "notional", "limit_price", "stop_price", "trail_percent", "take_profit", "extended_hours", "symbol", "side",
     "client_order_id", "order_class", "legs", "nothing"],
)  # fmt: skip
def test_any_number_in_any_field_of_an_order(alice: Customer, alpaca_of: AlpacaOf, name: str, value: str) -> None:
    status, body = alpaca_of(alice)("POST", "orders", ORDER.format(name=name, value=value))
    assert status == 422
    assert body["code"] == 40010001
    assert Trade.objects.filter(customer=alice).count() == 1, "only the trade that bought the shares exists"


def test_shares_that_are_held_are_sold_although_the_list_lacks_them(
    alice: Customer, bob: Customer, alpaca_of: AlpacaOf
) -> None:
    StockFactory.create(ticker="ELSE")
    market.forget()
    order = {"symbol": "AAPL", "qty": "1", "side": "sell", "type": "market", "time_in_force": "day"}
    status, sold = alpaca_of(alice)("POST", "orders", order)
    assert (status, sold["status"], sold["symbol"]) == (200, "accepted", "AAPL")
    assert alpaca_of(alice)("POST", "orders", order | {"side": "buy"})[0] == 422
    assert alpaca_of(bob)("POST", "orders", order)[0] == 422


def test_a_limited_number_of_orders_is_cancelled_per_call(
    alice: Customer, alpaca_of: AlpacaOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "CANCELLED_AT_ONCE_MAX", 2)
    order_ids = [str(place_trade(alice.id, "AAPL", "SELL", 1)[0].id) for _ in range(3)]
    responses = [alpaca_of(alice)("DELETE", "orders") for _ in range(3)]
    assert [status for status, _ in responses] == [207, 207, 207]
    assert [[outcome["id"] for outcome in outcomes] for _, outcomes in responses] == [order_ids[:2], order_ids[2:], []]


def test_a_calendar_is_by_default_that_of_new_yorks_year(bob: Customer, alpaca_of: AlpacaOf) -> None:
    with time_machine.travel(datetime(2027, 1, 1, 3, tzinfo=UTC), tick=False):
        days = alpaca_of(bob)("GET", "calendar")[1]
    assert (days[0]["date"], days[-1]["date"]) == ("2026-01-02", "2026-12-31")


def test_a_calendar_by_settlement_dates(bob: Customer, alpaca_of: AlpacaOf) -> None:
    """Banks are closed on Columbus Day, a trading day, so the Friday before it settles on the Tuesday too."""
    one_day = "calendar?start=2026-10-13&end=2026-10-13"
    status, days = alpaca_of(bob)("GET", f"{one_day}&date_type=SETTLEMENT")
    assert status == 200
    assert {day["settlement_date"] for day in days} == {"2026-10-13"}
    assert [day["date"] for day in days] == ["2026-10-09", "2026-10-12"]
    assert [day["date"] for day in alpaca_of(bob)("GET", one_day)[1]] == ["2026-10-13"]
    assert alpaca_of(bob)("GET", f"{one_day}&date_type=settled")[0] == 422


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: value[:12])
def test_any_number_in_other_bodies(bob: Customer, alpaca_of: AlpacaOf, value: str) -> None:
    call = alpaca_of(bob)
    for method, path, body in [
        ("PATCH", "account/configurations", f'{{"max_options_trading_level": {value}, "suspend_trade": "x"}}'),
        ("PATCH", "account/configurations", f'{{"suspend_trade": [{value}]}}'),
        ("POST", "watchlists", f'{{"name": {value}}}'),
        ("POST", "watchlists", f'{{"name": "x", "symbols": [{value}]}}'),
    ]:
        assert call(method, path, body)[0] == 422, body


@pytest.mark.parametrize("name", ["take_profit", "stop_loss", "legs", "advanced_instructions"])
@pytest.mark.parametrize("value", ['{"limit_price": 1.5}', '[{"qty": 1e999}]', '"x"', "{}"])
def test_brackets_are_refused_with_the_supported_order_classes(
    alice: Customer, alpaca_of: AlpacaOf, name: str, value: str
) -> None:
    _, body = alpaca_of(alice)("POST", "orders", ORDER.format(name=name, value=value))
    assert body["message"].startswith(f"{name}: not supported; only market orders")


def test_a_percentage_without_whole_shares_names_the_percentage(alice: Customer, alpaca_of: AlpacaOf) -> None:
    status, body = alpaca_of(alice)("DELETE", "positions/AAPL?percentage=25")
    assert (status, body["message"]) == (422, "percentage: 25 of 10 shares is 2.5; only whole shares can be sold")
    assert alpaca_of(alice)("DELETE", "positions/AAPL?qty=0")[1]["message"].startswith("qty: ")


def test_an_empty_list_of_symbols_does_not_filter(alice: Customer, alpaca_of: AlpacaOf) -> None:
    status, orders = alpaca_of(alice)("GET", "orders?status=all&symbols=")
    assert (status, len(orders)) == (200, 1)


def test_closing_all_positions_places_no_more_shares_than_one_order_may_have(alpaca_of: AlpacaOf, db: None) -> None:
    whale = open_account("whale@example.com", Decimal(1))
    PositionFactory.create(customer=whale, ticker="AAPL", quantity=QUANTITY_MAX + 1)
    status, (closed,) = alpaca_of(whale)("DELETE", "positions")
    assert (status, closed["status"], closed["body"]["code"]) == (207, 422, 40010001)
    assert not Trade.objects.filter(customer=whale).exists()


@pytest.mark.parametrize(
    ("query", "count"),
    [("date={day}", 2), ("date={day}T12:00:00Z", 2), ("date=1999-01-01", 0), ("date={day}T12:00:00%2B00:00", 2)],
)
def test_activities_of_a_day_or_of_a_times_day(alice: Customer, alpaca_of: AlpacaOf, query: str, count: int) -> None:
    call = alpaca_of(alice)
    executed_at = datetime.fromisoformat(call("GET", "account/activities")[1][0]["transaction_time"])
    status, activities = call("GET", f"account/activities?{query.format(day=eastern_date(executed_at))}")
    assert (status, len(activities)) == (200, count)


def test_the_schema_names_every_type_of_activity() -> None:
    field = cast("serializers.ChoiceField", AlpacaActivitySerializer().fields["activity_type"])
    assert set(field.choices) == {"FILL", *CASH_ACTIVITIES.values(), *SHARE_ACTIVITIES.values()}


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z", "x", "1969-12-31", "%00"])
def test_a_day_out_of_range_is_refused(alice: Customer, alpaca_of: AlpacaOf, date: str) -> None:
    assert alpaca_of(alice)("GET", f"account/activities?date={date}")[0] == 422
