"""Orders: place, list, cancel."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Token
from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView, FlagField
from alpaca_api.fields import (
    SUPPORTED,
    NumberField,
    SymbolField,
    SymbolsField,
    includes_stocks,
    parse_uuid,
    whole_shares,
)
from alpaca_api.models import Configuration
from exchange import market
from trades.cancel import NoSuchTrade, NotCancellable, cancel_trade
from trades.estimate import Estimate, estimate_trade
from trades.models import Status, TimeInForce, Trade, Type, WhenClosed
from trades.place import place_trade
from trades.search import TradeFilter, find_trades
from web.drf import StrictSerializer, TextField

CANCELLED_AT_ONCE_MAX = 10_000
OPEN = [Status.PLACED, Status.IN_PROGRESS]
CLOSED = [Status.FILLED, Status.REJECTED]


@extend_schema_field({})
class UnsupportedField(serializers.Field[Any, Any, Any, Any]):
    """Something that the client may send and we do not do, whatever it looks like."""

    def __init__(self) -> None:
        super().__init__(required=False, allow_null=True, help_text="Not supported.")

    def to_internal_value(self, data: Any) -> Any:
        return data


class SubmitOrderSerializer(StrictSerializer):
    symbol = SymbolField()
    qty = NumberField(required=False, allow_null=True, help_text='Whole shares: 3, 3.0 or "3".')
    notional = NumberField(required=False, allow_null=True, help_text="Not supported.")
    side = serializers.ChoiceField(["buy", "sell"])
    type = serializers.ChoiceField(["market", "limit", "stop", "stop_limit", "trailing_stop"], help_text="`market`.")
    time_in_force = serializers.ChoiceField(["day", "gtc", "opg", "cls", "ioc", "fok"], help_text="`day` or `gtc`.")
    order_class = serializers.ChoiceField(
        ["", "simple", "bracket", "oco", "oto", "mleg"], required=False, allow_null=True, allow_blank=True
    )
    extended_hours = serializers.BooleanField(required=False, allow_null=True)
    client_order_id = TextField(required=False, allow_null=True, max_length=128, trim_whitespace=False)
    limit_price = NumberField(required=False, allow_null=True, help_text="Not supported.")
    stop_price = NumberField(required=False, allow_null=True, help_text="Not supported.")
    trail_price = NumberField(required=False, allow_null=True, help_text="Not supported.")
    trail_percent = NumberField(required=False, allow_null=True, help_text="Not supported.")
    take_profit = UnsupportedField()
    stop_loss = UnsupportedField()
    legs = UnsupportedField()
    position_intent = serializers.ChoiceField(
        ["buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"], required=False, allow_null=True
    )
    advanced_instructions = UnsupportedField()

    REFUSED = (
        "notional",
        "limit_price",
        "stop_price",
        "trail_price",
        "trail_percent",
        "take_profit",
        "stop_loss",
        "legs",
        "advanced_instructions",
    )

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Refuse whatever the order could not be placed with: nothing that was sent is left out in silence."""
        wrong = [name for name in self.REFUSED if asked.get(name) is not None]
        if asked["type"] != "market":
            wrong.append("type")
        if asked["time_in_force"] not in TimeInForce.values:
            wrong.append("time_in_force")
        if asked.get("order_class") not in (None, "", "simple"):
            wrong.append("order_class")
        if asked.get("extended_hours"):
            wrong.append("extended_hours")
        if asked.get("position_intent") not in (None, alpaca.POSITION_INTENTS[Type(asked["side"].upper())]):
            wrong.append("position_intent")
        if wrong:
            raise serializers.ValidationError({wrong[0]: f"not supported; {SUPPORTED}"})
        if asked.get("qty") is None:
            raise serializers.ValidationError({"qty": "required"})
        asked["qty"] = whole_shares(asked["qty"], "qty")
        key = asked.get("client_order_id")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise serializers.ValidationError({"client_order_id": "must be printable ASCII"})
        return asked


class OrdersQuerySerializer(StrictSerializer):
    status = serializers.ChoiceField(["open", "closed", "all"], default="open")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=500)
    after = serializers.DateTimeField(required=False, help_text="Submitted after it.")
    until = serializers.DateTimeField(required=False, help_text="Submitted before it.")
    direction = serializers.ChoiceField(["asc", "desc"], default="desc")
    nested = FlagField(required=False, help_text="Changes nothing: no order has legs.")
    side = serializers.ChoiceField(["buy", "sell"], required=False)
    symbols = SymbolsField(required=False, max_length=8_000, help_text="Separated by commas.")
    asset_class = TextField(required=False, max_length=80, allow_blank=True, help_text="Separated by commas.")
    before_order_id = serializers.UUIDField(required=False)
    after_order_id = serializers.UUIDField(required=False)


class OrderQuerySerializer(StrictSerializer):
    nested = FlagField(required=False)


class ClientOrderIdQuerySerializer(StrictSerializer):
    client_order_id = TextField(max_length=128, trim_whitespace=False)


class OrdersView(AlpacaView):
    """A customer's orders."""

    scope = Token.Scope.TRADE

    @extend_schema(
        operation_id="alpacaSubmitOrder", request=SubmitOrderSerializer, responses=schema.AlpacaOrderSerializer
    )
    def post(self, request: Request) -> Response:
        """Place a market order for whole shares. The same client_order_id and terms again: the first order."""
        asked = self.asked(SubmitOrderSerializer, request.data)
        side, key = Type(asked["side"].upper()), asked.get("client_order_id") or None
        good_for = asked["time_in_force"]
        placed = submit_order(self.customer_id, asked["symbol"], side, asked["qty"], key, time_in_force=good_for)
        return Response(alpaca.order(placed))

    @extend_schema(
        operation_id="alpacaListOrders",
        parameters=[OrdersQuerySerializer],
        responses=schema.AlpacaOrderSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Orders by status, newest first unless asked otherwise."""
        asked = self.asked(OrdersQuerySerializer, request.query_params)
        if not includes_stocks(asked.get("asset_class", "")):
            return Response([])
        wanted = TradeFilter(
            statuses={"open": OPEN, "closed": CLOSED, "all": ()}[asked["status"]],
            types=[asked["side"].upper()] if "side" in asked else (),
            tickers=asked.get("symbols", ()),
            placed_after=asked.get("after"),
            placed_before=asked.get("until"),
            above=self._number(asked.get("after_order_id")),
            below=self._number(asked.get("before_order_id")),
        )
        trades = find_trades(self.customer_id, wanted, asked["limit"], newest_first=asked["direction"] == "desc")
        return Response([alpaca.order(trade) for trade in trades])

    @extend_schema(operation_id="alpacaCancelOrders", responses={207: schema.AlpacaCancelledOrderSerializer(many=True)})
    def delete(self, request: Request) -> Response:
        """Cancel every open order; those that are with the exchange already are not."""
        return Response(cancel_all(self.customer_id), status=207)

    def _number(self, order_id: UUID | None) -> int | None:
        if order_id is None:
            return None
        trade = Trade.objects.filter(customer_id=self.customer_id, id=order_id).first()
        if trade is None:
            raise AlpacaError(404, 40410000, "order not found")
        return trade.sequence


class OrderView(AlpacaView):
    """One order."""

    scope = Token.Scope.TRADE

    @extend_schema(
        operation_id="alpacaGetOrder", parameters=[OrderQuerySerializer], responses=schema.AlpacaOrderSerializer
    )
    def get(self, request: Request, order_id: str) -> Response:
        """One order, as it is now."""
        self.asked(OrderQuerySerializer, request.query_params)
        return Response(alpaca.order(find_order(self.customer_id, order_id)))

    @extend_schema(operation_id="alpacaReplaceOrder", request=None, responses={422: schema.AlpacaErrorSerializer})
    def patch(self, request: Request, order_id: str) -> Response:
        """Always refused: a market order can't be replaced."""
        find_order(self.customer_id, order_id)
        raise AlpacaError(422, 42210000, "a market order can not be replaced; cancel it and place another")

    @extend_schema(operation_id="alpacaCancelOrder", responses={204: None})
    def delete(self, request: Request, order_id: str) -> Response:
        """Cancel an order that is not with the exchange yet."""
        try:
            cancel_trade(self.customer_id, find_order(self.customer_id, order_id).id, by="alpaca")
        except NoSuchTrade:
            raise AlpacaError(404, 40410000, "order not found") from None
        return Response(status=204)


class OrderByClientIdView(AlpacaView):
    """One order, by the id that the client gave it."""

    @extend_schema(
        operation_id="alpacaGetOrderByClientId",
        parameters=[ClientOrderIdQuerySerializer],
        responses=schema.AlpacaOrderSerializer,
    )
    def get(self, request: Request) -> Response:
        """One order, by client_order_id."""
        key = self.asked(ClientOrderIdQuerySerializer, request.query_params)["client_order_id"]
        mine = Trade.objects.filter(customer_id=self.customer_id)
        trade = mine.filter(idempotency_key=key).first()
        if trade is None and (given := parse_uuid(key)):
            trade = mine.filter(id=given, idempotency_key=None).first()
        if trade is None:
            raise AlpacaError(404, 40410000, f"order not found for {key}")
        return Response(alpaca.order(trade))


def submit_order(
    customer_id: int,
    ticker: str,
    side: Type,
    quantity: int,
    key: str | None = None,
    time_in_force: str = TimeInForce.DAY,
) -> Trade:
    """Place a market order that the customer can pay for or deliver, as far as the last price tells.

    While the market is closed it is queued for the opening.

    Idempotent: with the same key and terms, the first order.

    Raises:
        AlpacaError: The customer suspended trading, or can't pay for it or deliver it.
        PlacingRefused, UnknownTicker, TradeKeyReused: As `place_trade`.
    """
    if key is None or not Trade.objects.filter(customer_id=customer_id, idempotency_key=key).exists():
        configuration = Configuration.objects.filter(customer_id=customer_id).first()
        if configuration and configuration.suspend_trade:
            raise AlpacaError(403, 40310000, "new orders are rejected by user request (suspend_trade)")
        if market.is_listed(ticker):
            _check_covered(estimate_trade(customer_id, ticker, side, quantity))
    return place_trade(
        customer_id,
        ticker,
        side,
        quantity,
        key,
        by="alpaca",
        when_closed=WhenClosed.QUEUE,
        time_in_force=time_in_force,
    )[0]


def _check_covered(estimate: Estimate) -> None:
    if estimate.is_covered:
        return
    if estimate.type == Type.BUY and estimate.amount is not None:
        raise AlpacaError(
            403,
            40310000,
            "insufficient buying power",
            buying_power=alpaca.decimal(estimate.cash),
            cost_basis=alpaca.decimal(estimate.amount),
        )
    raise AlpacaError(
        403,
        40310000,
        f"insufficient qty available for order (requested: {estimate.quantity}, available: {estimate.shares})",
        symbol=estimate.ticker,
        available_qty=str(estimate.shares),
        required_qty=str(estimate.quantity),
    )


def cancel_all(customer_id: int) -> list[dict[str, Any]]:
    """Cancel every open order, the oldest first, CANCELLED_AT_ONCE_MAX at most; return what became of each."""
    outcomes = []
    for trade in find_trades(customer_id, TradeFilter(statuses=OPEN), CANCELLED_AT_ONCE_MAX, newest_first=False):
        try:
            cancel_trade(customer_id, trade.id, by="alpaca")
            outcomes.append({"id": str(trade.id), "status": 200})
        except NotCancellable:
            body = {"code": 42210000, "message": "order is not cancelable"}
            outcomes.append({"id": str(trade.id), "status": 422, "body": body})
    return outcomes


def find_order(customer_id: int, order_id: str) -> Trade:
    """A customer's order. Raises AlpacaError."""
    if (given := parse_uuid(order_id)) is None:
        raise AlpacaError(422, UNPROCESSABLE, "order_id is not an id")
    trade = Trade.objects.filter(customer_id=customer_id, id=given).first()
    if trade is None:
        raise AlpacaError(404, 40410000, f"order not found for {given}")
    return trade
