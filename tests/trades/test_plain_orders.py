"""The REST API reads plain orders and writes trades without going through the fields, with the same result."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from rest_framework import serializers

from trades.api import PlaceTradeSerializer, TradeSerializer, trade_data
from trades.batch_api import BatchedTradeSerializer
from trades.models import Reason, Status, Trade, Type, WhenClosed
from trades.place import QUANTITY_MAX

ID = UUID("01a21d0e-a8da-73b6-8106-d55403de356d")
AT = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
PLACED = {"id": ID, "ticker": "AAPL", "type": "BUY", "quantity": 3, "placed_at": AT}
FILLED = PLACED | {
    "status": Status.FILLED,
    "price": Decimal("0.1"),
    "amount": Decimal("99999999999999.9999"),
    "settled_at": AT.replace(microsecond=7),
    "executed_at": AT,
    "settles_on": date(2026, 11, 30),
    "fees": {"sec": "0.03", "taf": "0.0100"},
    "last_price": Decimal("10.005"),
    "collar": Decimal("0.05"),
}


@pytest.mark.django_db  # the calendar's closures
@pytest.mark.parametrize(
    "fields",
    [
        PLACED,
        PLACED | {"type": Type.SELL, "when_closed": WhenClosed.QUEUE, "placed_as": "FB", "queued_at": AT},
        PLACED | {"placed_at": AT.astimezone(timezone(timedelta(hours=-5)))},
        PLACED | {"status": Status.IN_PROGRESS, "last_price": Decimal("10.00005"), "collar": Decimal("0.05")},
        PLACED | {"status": Status.REJECTED, "reason_code": Reason.CANCELLED, "settled_at": AT},
        FILLED,
        FILLED | {"type": "SELL", "settles_on": None, "amount": Decimal(30), "fees": None},
        FILLED | {"fees": {}, "price": Decimal("1E+2"), "amount": Decimal(300)},
    ],
)
def test_a_trade_is_shown_as_its_fields_show_it(fields: dict[str, Any]) -> None:
    trade = Trade(**fields)
    by_fields = serializers.Serializer.to_representation(TradeSerializer(), trade)
    assert json.dumps(trade_data(trade)) == json.dumps(by_fields)


@pytest.mark.parametrize("kind", [PlaceTradeSerializer, BatchedTradeSerializer])
@pytest.mark.parametrize(
    "ticker", ["AAPL", "A" * 12, "A" * 13, "aapl", " KO", "KO\n", "BRK.B", "ÄÖ", "ſ", "", "\0", 7, None]
)
def test_an_order_is_valid_exactly_if_its_fields_are(kind: Any, ticker: Any) -> None:
    types: list[Any] = ["BUY", "SELL", "buy", "BUY ", [], {}, None, True]
    quantities = [1, QUANTITY_MAX, 0, QUANTITY_MAX + 1, 2**70, -1, True, 3.0, "3", None]
    for type_, quantity in product(types, quantities):
        body = {"stockTicker": ticker, "type": type_, "quantity": quantity}
        assert outcome(kind, body) == outcome_by_fields(kind, body), body


@pytest.mark.parametrize("kind", [PlaceTradeSerializer, BatchedTradeSerializer])
@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        "BUY",
        {"stockTicker": "KO", "type": "BUY"},
        {"stockTicker": "KO", "type": "BUY", "whenClosed": "queue"},
        {"stockTicker": "KO", "type": "BUY", "amount": 3},
        {"stockTicker": "KO", "type": "BUY", "quantity": 3, "whenClosed": "queue"},
        {"stockTicker": "KO", "type": "BUY", "quantity": 3, "idempotencyKey": "k"},
        {"stockTicker": "KO", "type": "BUY", "quantity": 3, "price": 1},
    ],
)
def test_other_bodies_are_read_by_the_fields(kind: Any, body: Any) -> None:
    assert outcome(kind, body) == outcome_by_fields(kind, body)


def outcome(kind: type[PlaceTradeSerializer], body: Any) -> Any:
    try:
        return kind().run_validation(body)
    except serializers.ValidationError as error:
        return error.detail


def outcome_by_fields(kind: type[PlaceTradeSerializer], body: Any) -> Any:
    try:
        return super(PlaceTradeSerializer, kind()).run_validation(body)
    except serializers.ValidationError as error:
        return error.detail
