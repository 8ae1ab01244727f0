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
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView
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
from web.serializers import StrictSerializer, TextField

CANCELLED_AT_ONCE_MAX = 10_000
OPEN = [Status.PLACED, Status.IN_PROGRESS]
CLOSED = [Status.FILLED, Status.REJECTED]


@extend_schema_field({})
class UnsupportedField(serializers.Field[Any, Any, Any, Any]):
    """A parameter that the client may send but that we do not support, of any type."""

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

    UNSUPPORTED = (
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

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Reject every parameter that we could not honor, rather than ignore it silently."""
        wrong = [name for name in self.UNSUPPORTED if attrs.get(name) is not None]
        if attrs["type"] != "market":
            wrong.append("type")
        if attrs["time_in_force"] not in TimeInForce.values:
            wrong.append("time_in_force")
        if attrs.get("order_class") not in (None, "", "simple"):
            wrong.append("order_class")
        if attrs.get("extended_hours"):
            wrong.append("extended_hours")
        if attrs.get("position_intent") not in (None, alpaca.POSITION_INTENTS[Type(attrs["side"].upper())]):
            wrong.append("position_intent")
        if wrong:
            raise serializers.ValidationError({wrong[0]: f"not supported; {SUPPORTED}"})
        if attrs.get("qty") is None:
            raise serializers.ValidationError({"qty": "required"})
        attrs["qty"] = whole_shares(attrs["qty"], "qty")
        key = attrs.get("client_order_id")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise serializers.ValidationError({"client_order_id": "must be printable ASCII"})
        return attrs


class OrdersQuerySerializer(StrictSerializer):
    status = serializers.ChoiceField(["open", "closed", "all"], default="open")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=500)
    after = serializers.DateTimeField(required=False, help_text="Only orders submitted after this time.")
    until = serializers.DateTimeField(required=False, help_text="Only orders submitted before this time.")
    direction = serializers.ChoiceField(["asc", "desc"], default="desc")
    nested = serializers.BooleanField(required=False, help_text="Has no effect: no order has legs.")
    side = serializers.ChoiceField(["buy", "sell"], required=False)
    symbols = SymbolsField(required=False, max_length=8_000, help_text="Separated by commas.")
    asset_class = TextField(required=False, max_length=80, allow_blank=True, help_text="Separated by commas.")
    before_order_id = serializers.UUIDField(required=False)
    after_order_id = serializers.UUIDField(required=False)


class OrderQuerySerializer(StrictSerializer):
    nested = serializers.BooleanField(required=False)


class ClientOrderIdQuerySerializer(StrictSerializer):
    client_order_id = TextField(max_length=128, trim_whitespace=False)


class OrdersView(AlpacaView):
    """A customer's orders."""

    scope = Token.Scope.TRADE

    @extend_schema(
        operation_id="alpacaSubmitOrder", request=SubmitOrderSerializer, responses=schema.AlpacaOrderSerializer
    )
    def post(self, request: Request) -> Response:
        """Place a market order for whole shares. The same client_order_id and terms return the first order again."""
        params = self.validated(SubmitOrderSerializer, request.data)
        side, key = Type(params["side"].upper()), params.get("client_order_id") or None
        good_for = params["time_in_force"]
        placed = submit_order(self.customer_id, params["symbol"], side, params["qty"], key, time_in_force=good_for)
        return Response(alpaca.order(placed))

    @extend_schema(
        operation_id="alpacaListOrders",
        parameters=[OrdersQuerySerializer],
        responses=schema.AlpacaOrderSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """List orders by status, newest first by default."""
        params = self.validated(OrdersQuerySerializer, request.query_params)
        if not includes_stocks(params.get("asset_class", "")):
            return Response([])
        self.count_rows(params["limit"])
        criteria = TradeFilter(
            statuses={"open": OPEN, "closed": CLOSED, "all": ()}[params["status"]],
            types=[params["side"].upper()] if "side" in params else (),
            tickers=params.get("symbols", ()),
            placed_after=params.get("after"),
            placed_before=params.get("until"),
            above=self._sequence_of(params.get("after_order_id")),
            below=self._sequence_of(params.get("before_order_id")),
        )
        trades = find_trades(self.customer_id, criteria, params["limit"], newest_first=params["direction"] == "desc")
        return Response([alpaca.order(trade) for trade in trades])

    @extend_schema(operation_id="alpacaCancelOrders", responses={207: schema.AlpacaCancelledOrderSerializer(many=True)})
    def delete(self, request: Request) -> Response:
        """Cancel all open orders, except those that are already at the exchange."""
        return Response(cancel_all(self), status=207)

    def _sequence_of(self, order_id: UUID | None) -> int | None:
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
        """Get an order."""
        self.validated(OrderQuerySerializer, request.query_params)
        return Response(alpaca.order(find_order(self.customer_id, order_id)))

    @extend_schema(operation_id="alpacaReplaceOrder", request=None, responses={422: schema.AlpacaErrorSerializer})
    def patch(self, request: Request, order_id: str) -> Response:
        """Reject the request: a market order can't be replaced."""
        find_order(self.customer_id, order_id)
        raise AlpacaError(422, 42210000, "a market order can't be replaced; cancel it and place another")

    @extend_schema(operation_id="alpacaCancelOrder", responses={204: None})
    def delete(self, request: Request, order_id: str) -> Response:
        """Cancel an order that is not at the exchange yet."""
        try:
            cancel_trade(self.customer_id, find_order(self.customer_id, order_id).id, by="alpaca")
        except NoSuchTrade:
            raise AlpacaError(404, 40410000, "order not found") from None
        return Response(status=204)


class OrderByClientIdView(AlpacaView):
    """One order, by client_order_id."""

    @extend_schema(
        operation_id="alpacaGetOrderByClientId",
        parameters=[ClientOrderIdQuerySerializer],
        responses=schema.AlpacaOrderSerializer,
    )
    def get(self, request: Request) -> Response:
        """Get an order by its client_order_id."""
        key = self.validated(ClientOrderIdQuerySerializer, request.query_params)["client_order_id"]
        trades = Trade.objects.filter(customer_id=self.customer_id)
        trade = trades.filter(idempotency_key=key).first()
        if trade is None and (trade_id := parse_uuid(key)):
            trade = trades.filter(id=trade_id, idempotency_key=None).first()
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
    """Place a market order if, at the last price, the customer can pay for it or deliver the shares.

    While the market is closed, the order is queued for the open.

    Idempotent: the same key and terms return the first order.

    Raises:
        AlpacaError: The customer has suspended trading, or can't pay or deliver.
        PlacingRefused, UnknownTicker, TradeKeyReused: See `place_trade`.
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


def cancel_all(view: AlpacaView) -> list[dict[str, Any]]:
    """Cancel up to CANCELLED_AT_ONCE_MAX open orders, oldest first, and return the outcome of each.

    Each order counts as a request.

    Raises:
        Throttled: The customer has made too many requests. Nothing is cancelled.
    """
    trades = find_trades(view.customer_id, TradeFilter(statuses=OPEN), CANCELLED_AT_ONCE_MAX, newest_first=False)
    view.count_as(len(trades))
    outcomes = []
    for trade in trades:
        try:
            cancel_trade(view.customer_id, trade.id, by="alpaca")
            outcomes.append({"id": str(trade.id), "status": 200})
        except NotCancellable:
            body = {"code": 42210000, "message": "order is not cancelable"}
            outcomes.append({"id": str(trade.id), "status": 422, "body": body})
    return outcomes


def find_order(customer_id: int, order_id: str) -> Trade:
    """Return a customer's order.

    Raises:
        AlpacaError: The id is not a UUID, or the customer has no such order.
    """
    if (trade_id := parse_uuid(order_id)) is None:
        raise AlpacaError(422, UNPROCESSABLE, "order_id: must be a UUID")
    trade = Trade.objects.filter(customer_id=customer_id, id=trade_id).first()
    if trade is None:
        raise AlpacaError(404, 40410000, f"order not found for {trade_id}")
    return trade
