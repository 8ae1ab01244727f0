"""The endpoints under /alpaca/v2/."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, ClassVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from accounts.ledger import money
from accounts.models import CASH, Position, Posting, Token
from alpaca_api import history, schema
from alpaca_api import serializers as alpaca
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView, FlagField, Query
from alpaca_api.models import Configuration, Watchlist
from exchange import gateway, market
from exchange.days import trading_days
from exchange.messages import Unknown
from exchange.models import Stock
from trades import checks
from trades.cancel import NoSuchTrade, NotCancellable, cancel_trade
from trades.models import Status, Trade, Type
from trades.place import QUANTITY_MAX, place_trade
from trades.search import TradeFilter, find_trades
from web.drf import TextField

OPEN = [Status.PLACED, Status.IN_PROGRESS]
CLOSED = [Status.FILLED, Status.REJECTED]
TICKERS_MAX = 500
WATCHLISTS_MAX, WATCHED_MAX = 200, 1_000
SUPPORTED = "supported are market orders for whole shares, time_in_force day or gtc"
NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?(E[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)
CALENDAR_FIRST, CALENDAR_LAST = date(1970, 1, 1), date(2029, 12, 31)


class SymbolField(TextField):
    """A ticker; small letters are taken for capitals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=12, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).upper()


class SymbolsField(TextField):
    """Tickers, separated by commas."""

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        tickers = [ticker for ticker in super().to_internal_value(data).upper().split(",") if ticker]
        if "\x00" in data:
            raise serializers.ValidationError("No ticker has such characters.")
        if len(tickers) > TICKERS_MAX:
            raise serializers.ValidationError(f"{TICKERS_MAX} symbols at most.")
        return [ticker[:12] for ticker in tickers]


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string", "maxLength": 40}]})
class NumberField(serializers.Field):
    """A number, as JSON has it or as text."""

    default_error_messages: ClassVar = {"invalid": "must be a number"}

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | Decimal | str) or not NUMBER.fullmatch(str(data)):
            self.fail("invalid")
        try:
            number = Decimal(data)
        except ArithmeticError:
            self.fail("invalid")
        if not number.is_finite():
            self.fail("invalid")
        return number


class SubmitOrderSerializer(Query):
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
    take_profit = serializers.JSONField(required=False, allow_null=True, help_text="Not supported.")
    stop_loss = serializers.JSONField(required=False, allow_null=True, help_text="Not supported.")
    legs = serializers.JSONField(required=False, allow_null=True, help_text="Not supported.")
    position_intent = serializers.ChoiceField(
        ["buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"], required=False, allow_null=True
    )
    advanced_instructions = serializers.JSONField(required=False, allow_null=True, help_text="Not supported.")

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
        wrong = [name for name in self.REFUSED if asked.get(name) is not None]
        if asked["type"] != "market":
            wrong.append("type")
        if asked["time_in_force"] not in ("day", "gtc"):
            wrong.append("time_in_force")
        if asked.get("order_class") not in (None, "", "simple"):
            wrong.append("order_class")
        if asked.get("extended_hours"):
            wrong.append("extended_hours")
        if wrong:
            raise serializers.ValidationError({wrong[0]: f"not supported; {SUPPORTED}"})
        if asked.get("qty") is None:
            raise serializers.ValidationError({"qty": "required"})
        asked["qty"] = whole_shares(asked["qty"], "qty")
        key = asked.get("client_order_id")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise serializers.ValidationError({"client_order_id": "must be printable ASCII"})
        return asked


def whole_shares(number: Decimal, name: str) -> int:
    """The number of shares. Raises ValidationError."""
    if not 0 < number <= QUANTITY_MAX or number != number.to_integral_value():
        raise serializers.ValidationError({name: f"must be whole shares, 1 to {QUANTITY_MAX}; {SUPPORTED}"})
    return int(number)


class OrdersQuerySerializer(Query):
    status = serializers.ChoiceField(["open", "closed", "all"], default="open")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=500)
    after = serializers.DateTimeField(required=False, help_text="Submitted after it.")
    until = serializers.DateTimeField(required=False, help_text="Submitted before it.")
    direction = serializers.ChoiceField(["asc", "desc"], default="desc")
    nested = FlagField(required=False, help_text="Changes nothing: no order has legs.")
    side = serializers.ChoiceField(["buy", "sell"], required=False)
    symbols = SymbolsField(required=False, max_length=8_000, help_text="Separated by commas.")
    asset_class = TextField(required=False, max_length=40)
    before_order_id = serializers.UUIDField(required=False)
    after_order_id = serializers.UUIDField(required=False)


class OrderQuerySerializer(Query):
    nested = FlagField(required=False)


class ClientOrderIdQuerySerializer(Query):
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
        return Response(alpaca.order(submit(self.customer_id, asked["symbol"], side, asked["qty"], key)))

    @extend_schema(
        operation_id="alpacaListOrders",
        parameters=[OrdersQuerySerializer],
        responses=schema.AlpacaOrderSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Orders by status, newest first unless asked otherwise."""
        asked = self.asked(OrdersQuerySerializer, request.query_params)
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
        return Response(alpaca.order(order_of(self.customer_id, order_id)))

    @extend_schema(operation_id="alpacaReplaceOrder", request=None, responses={422: schema.AlpacaErrorSerializer})
    def patch(self, request: Request, order_id: str) -> Response:
        """Always refused: a market order can't be replaced."""
        order_of(self.customer_id, order_id)
        raise AlpacaError(422, 42210000, "a market order can not be replaced; cancel it and place another")

    @extend_schema(operation_id="alpacaCancelOrder", responses={204: None})
    def delete(self, request: Request, order_id: str) -> Response:
        """Cancel an order that is not with the exchange yet."""
        try:
            cancel_trade(self.customer_id, order_of(self.customer_id, order_id).id, by="alpaca")
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
        if trade is None and (given := _uuid(key)):
            trade = mine.filter(id=given, idempotency_key=None).first()
        if trade is None:
            raise AlpacaError(404, 40410000, f"order not found for {key}")
        return Response(alpaca.order(trade))


def submit(customer_id: int, ticker: str, side: Type, quantity: int, key: str | None) -> Trade:
    """Place it, unless it plainly can't be paid for or delivered. A replay is answered as ever.

    Raises AlpacaError and what `place_trade` raises.
    """
    if key is None or not Trade.objects.filter(customer_id=customer_id, idempotency_key=key).exists():
        configuration = Configuration.objects.filter(customer_id=customer_id).first()
        if configuration and configuration.suspend_trade:
            raise AlpacaError(403, 40310000, "new orders are rejected by user request (suspend_trade)")
        if side == Type.BUY:
            _check_payable(customer_id, ticker, quantity)
        else:
            _check_deliverable(customer_id, ticker, quantity)
    return place_trade(customer_id, ticker, side, quantity, key, by="alpaca")[0]


def _check_payable(customer_id: int, ticker: str, quantity: int) -> None:
    try:
        cost = money(gateway.quote(ticker)["price"] * quantity)
    except (Unknown, gateway.NotListed):
        return  # without a price nothing is plain; what is not listed, placing refuses
    amount = accounts.balance_of(customer_id).amount
    if cost > amount:
        raise AlpacaError(
            403,
            40310000,
            "insufficient buying power",
            buying_power=alpaca.decimal(amount),
            cost_basis=alpaca.decimal(cost),
        )


def _check_deliverable(customer_id: int, ticker: str, quantity: int) -> None:
    if not market.is_listed(ticker):
        return
    position = Position.objects.filter(customer_id=customer_id, ticker=ticker).first()
    held = position.quantity if position else 0
    if quantity > held:
        raise AlpacaError(
            403,
            40310000,
            f"insufficient qty available for order (requested: {quantity}, available: {held})",
            symbol=ticker,
            available_qty=str(held),
            required_qty=str(quantity),
        )


def cancel_all(customer_id: int) -> list[dict[str, Any]]:
    """Cancel every open order; what became of each."""
    outcomes = []
    for trade in find_trades(customer_id, TradeFilter(statuses=OPEN), 10_000, newest_first=False):
        try:
            cancel_trade(customer_id, trade.id, by="alpaca")
            outcomes.append({"id": str(trade.id), "status": 200})
        except NotCancellable:
            body = {"code": 42210000, "message": "order is not cancelable"}
            outcomes.append({"id": str(trade.id), "status": 422, "body": body})
    return outcomes


def order_of(customer_id: int, order_id: str) -> Trade:
    """A customer's order. Raises AlpacaError."""
    if (given := _uuid(order_id)) is None:
        raise AlpacaError(422, UNPROCESSABLE, "order_id is not an id")
    trade = Trade.objects.filter(customer_id=customer_id, id=given).first()
    if trade is None:
        raise AlpacaError(404, 40410000, f"order not found for {given}")
    return trade


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# -- the account


class AccountView(AlpacaView):
    """A customer's account."""

    @extend_schema(operation_id="alpacaGetAccount", responses=schema.AlpacaAccountSerializer)
    def get(self, request: Request) -> Response:
        """Cash, buying power and equity. Shares count at the last price; at cost while the exchange is away."""
        positions = list(accounts.positions_of(self.customer_id))
        prices = _prices(positions)
        value = sum((money(prices.get(row.ticker, row.average_price) * row.quantity) for row in positions), Decimal(0))
        rules = checks.rules()
        return Response(
            alpaca.account(
                request.auth.customer,  # type: ignore[union-attr]
                accounts.balance_of(self.customer_id),
                value,
                rules.all_halted or self.customer_id in rules.halted_customers,
                Configuration.objects.filter(customer_id=self.customer_id, suspend_trade=True).exists(),
            )
        )


class ConfigureAccountSerializer(Query):
    suspend_trade = serializers.BooleanField(required=False)
    trade_confirm_email = serializers.ChoiceField(["all", "none"], required=False)
    no_shorting = serializers.BooleanField(required=False, help_text="true.")
    fractional_trading = serializers.BooleanField(required=False, help_text="false.")
    max_margin_multiplier = TextField(required=False, max_length=8, help_text='"1".')
    ptp_no_exception_entry = serializers.BooleanField(required=False, help_text="false.")
    dtbp_check = TextField(required=False, allow_null=True, max_length=20)
    pdt_check = TextField(required=False, allow_null=True, max_length=20)
    max_options_trading_level = serializers.IntegerField(required=False, allow_null=True)


FIXED = {
    "fractional_trading": False,
    "max_margin_multiplier": "1",
    "no_shorting": True,
    "ptp_no_exception_entry": False,
}


class ConfigurationView(AlpacaView):
    """How the account is set for programs."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaGetConfigurations", responses=schema.AlpacaAccountConfigurationSerializer)
    def get(self, request: Request) -> Response:
        """What is set."""
        return Response(self._shown(Configuration.objects.filter(customer_id=self.customer_id).first()))

    @extend_schema(
        operation_id="alpacaSetConfigurations",
        request=ConfigureAccountSerializer,
        responses=schema.AlpacaAccountConfigurationSerializer,
    )
    def patch(self, request: Request) -> Response:
        """Set `suspend_trade` and `trade_confirm_email`; the rest is as it is, and no other value is taken."""
        asked = self.asked(ConfigureAccountSerializer, request.data)
        for name, value in FIXED.items():
            if asked.get(name, value) != value:
                raise AlpacaError(422, UNPROCESSABLE, f"{name}: only {value} is supported")
        changes: dict[str, Any] = {
            name: asked[name] for name in ("suspend_trade", "trade_confirm_email") if name in asked
        }
        row, _ = Configuration.objects.update_or_create(customer_id=self.customer_id, defaults=changes)
        return Response(self._shown(row))

    def _shown(self, row: Configuration | None) -> dict[str, Any]:
        row = row or Configuration()
        return FIXED | {"suspend_trade": row.suspend_trade, "trade_confirm_email": row.trade_confirm_email}


class HistoryQuerySerializer(Query):
    period = TextField(required=False, max_length=5, help_text="1D, 2W, 1M, 1A; 1M where nothing is said.")
    timeframe = serializers.ChoiceField(list(history.STEPS), required=False)
    intraday_reporting = TextField(required=False, max_length=20, help_text="Changes nothing.")
    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    date_start = serializers.DateField(required=False)
    date_end = serializers.DateField(required=False)
    pnl_reset = TextField(required=False, max_length=20, help_text="Changes nothing.")
    extended_hours = FlagField(required=False, help_text="Changes nothing.")
    cashflow_types = TextField(required=False, max_length=100, help_text="Changes nothing.")

    def validate_period(self, period: str) -> timedelta:
        try:
            return history.span(period)
        except ValueError:
            raise serializers.ValidationError("must be such as 1D, 2W, 1M or 1A") from None


class PortfolioHistoryView(AlpacaView):
    """What the account was worth."""

    @extend_schema(
        operation_id="alpacaGetPortfolioHistory",
        parameters=[HistoryQuerySerializer],
        responses=schema.AlpacaPortfolioHistorySerializer,
    )
    def get(self, request: Request) -> Response:
        """Equity over time, told from the books: shares count at the price of your last trade in them."""
        asked = self.asked(HistoryQuerySerializer, request.query_params)
        now = timezone.now()
        end = asked.get("end") or now
        if "date_end" in asked:
            end = datetime.combine(asked["date_end"], datetime.max.time(), UTC)
        end = min(end, now)
        period = asked.get("period", timedelta(days=31))
        try:
            start = asked.get("start") or end - period
        except OverflowError:
            raise AlpacaError(422, UNPROCESSABLE, "end: too long ago") from None
        if start >= end:
            raise AlpacaError(422, UNPROCESSABLE, "start must be before end")
        timeframe = asked.get("timeframe") or ("15Min" if end - start <= timedelta(days=7) else "1D")
        prices = _prices(list(accounts.positions_of(self.customer_id))) if end == now else {}
        try:
            return Response(history.portfolio(self.customer_id, start, end, timeframe, prices))
        except history.TooLong:
            raise AlpacaError(422, UNPROCESSABLE, f"more than {history.POINTS_MAX} points") from None


class ActivitiesQuerySerializer(Query):
    activity_types = TextField(required=False, max_length=200, help_text="FILL, CSD, CSW, JNLC, JNLS; by commas.")
    category = serializers.ChoiceField(["trade_activity", "non_trade_activity"], required=False)
    date = serializers.DateField(required=False)
    after = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    direction = serializers.ChoiceField(["asc", "desc"], default="desc")
    page_size = serializers.IntegerField(default=100, min_value=1, max_value=100)
    page_token = TextField(required=False, max_length=80, help_text="The last id of the page before.")


TRADE_KINDS = [Posting.Kind.BUY, Posting.Kind.SELL]
ACTIVITIES = {
    "FILL": Q(kind__in=TRADE_KINDS),
    "CSD": Q(kind=Posting.Kind.DEPOSIT),
    "CSW": Q(kind=Posting.Kind.WITHDRAWAL),
    "TRANS": Q(kind__in=[Posting.Kind.DEPOSIT, Posting.Kind.WITHDRAWAL]),
    "JNLC": Q(kind=Posting.Kind.ADJUSTMENT, ticker=CASH),
    "JNLS": Q(kind=Posting.Kind.ADJUSTMENT) & ~Q(ticker=CASH),
}
NONE = Q(pk__in=[])


class ActivitiesView(AlpacaView):
    """What happened in the account."""

    @extend_schema(
        operation_id="alpacaListActivities",
        parameters=[ActivitiesQuerySerializer],
        responses=schema.AlpacaActivitySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Fills, deposits, withdrawals and adjustments, newest first unless asked otherwise."""
        return self.answer(request)

    def answer(self, request: Request, activity_type: str | None = None) -> Response:
        asked = self.asked(ActivitiesQuerySerializer, request.query_params)
        # A trade posts cash and shares: the shares are the fill.
        rows = accounts.postings_of(self.customer_id).exclude(kind__in=TRADE_KINDS, ticker=CASH)
        names = (
            [activity_type] if activity_type else [name for name in asked.get("activity_types", "").split(",") if name]
        )
        if names:
            rows = rows.filter(reduce(or_, (ACTIVITIES.get(name.upper(), NONE) for name in names)))
        if category := asked.get("category"):
            wanted = {"kind__in": TRADE_KINDS}
            rows = rows.filter(**wanted) if category == "trade_activity" else rows.exclude(**wanted)
        if "after" in asked:
            rows = rows.filter(created_at__gt=asked["after"])
        if "until" in asked:
            rows = rows.filter(created_at__lt=asked["until"])
        if "date" in asked:
            rows = rows.filter(created_at__date=asked["date"])
        falling = asked["direction"] == "desc"
        if "page_token" in asked:
            last = self._last(asked["page_token"])
            rows = rows.filter(id__lt=last) if falling else rows.filter(id__gt=last)
        page = rows.order_by("-id" if falling else "id")[: asked["page_size"]]
        return Response([alpaca.activity(posting) for posting in page])

    def _last(self, token: str) -> int:
        cause = _uuid(token.rpartition("::")[2])
        found = [
            row
            for row in (accounts.postings_of(self.customer_id).filter(cause=cause) if cause else [])
            if row.ticker != CASH or row.kind not in TRADE_KINDS
        ]
        if not found:
            raise AlpacaError(422, UNPROCESSABLE, "page_token: is not an id of an activity")
        return int(found[0].id)


class ActivitiesOfTypeView(ActivitiesView):
    """What happened in the account, of one type."""

    @extend_schema(
        operation_id="alpacaListActivitiesOfType",
        parameters=[ActivitiesQuerySerializer],
        responses=schema.AlpacaActivitySerializer(many=True),
    )
    def get(self, request: Request, activity_type: str) -> Response:  # type: ignore[override]
        """The same of one type: FILL, CSD, CSW, TRANS for both of these, JNLC, JNLS. Of any other there is none."""
        return self.answer(request, activity_type)


# -- positions


class ClosePositionQuerySerializer(Query):
    qty = NumberField(required=False, help_text="Whole shares.")
    percentage = NumberField(required=False, help_text="Above 0, up to 100; it has to make whole shares.")


class ClosePositionsQuerySerializer(Query):
    cancel_orders = FlagField(required=False)


class PositionsView(AlpacaView):
    """What a customer holds."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaListPositions", responses=schema.AlpacaPositionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The stocks held."""
        return Response(_positions(list(accounts.positions_of(self.customer_id))))

    @extend_schema(
        operation_id="alpacaClosePositions",
        parameters=[ClosePositionsQuerySerializer],
        responses={207: schema.AlpacaClosedPositionSerializer(many=True)},
    )
    def delete(self, request: Request) -> Response:
        """Place an order for each stock held that sells all of it."""
        if self.asked(ClosePositionsQuerySerializer, request.query_params).get("cancel_orders"):
            cancel_all(self.customer_id)
        outcomes = []
        for row in accounts.positions_of(self.customer_id):
            try:
                placed = submit(self.customer_id, row.ticker, Type.SELL, row.quantity, None)
                outcomes.append({"symbol": row.ticker, "status": 200, "body": alpaca.order(placed)})
            except Exception as error:  # noqa: BLE001 — one that can't be sold does not keep the others
                answer = self.get_exception_handler()(error, {})
                outcomes.append({"symbol": row.ticker, "status": answer.status_code, "body": answer.data})
        return Response(outcomes, status=207)


class PositionView(AlpacaView):
    """What a customer holds of one stock."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaGetPosition", responses=schema.AlpacaPositionSerializer)
    def get(self, request: Request, symbol: str) -> Response:
        """One stock held, by its symbol or its asset's id."""
        return Response(_positions([self._position(symbol)])[0])

    @extend_schema(
        operation_id="alpacaClosePosition",
        parameters=[ClosePositionQuerySerializer],
        responses={200: schema.AlpacaOrderSerializer},
    )
    def delete(self, request: Request, symbol: str) -> Response:
        """Place an order that sells all of it, or so many shares, or such a part."""
        asked = self.asked(ClosePositionQuerySerializer, request.query_params)
        row = self._position(symbol)
        quantity = Decimal(row.quantity)
        if "qty" in asked and "percentage" in asked:
            raise AlpacaError(422, UNPROCESSABLE, "give qty or percentage, not both")
        if "qty" in asked:
            quantity = asked["qty"]
        if "percentage" in asked:
            if not 0 < asked["percentage"] <= 100:
                raise AlpacaError(422, UNPROCESSABLE, "percentage: must be above 0, up to 100")
            quantity = row.quantity * asked["percentage"] / 100
        shares = whole_shares(quantity, "qty")
        return Response(alpaca.order(submit(self.customer_id, row.ticker, Type.SELL, shares, None)))

    def _position(self, symbol: str) -> Position:
        ticker = _ticker(symbol)
        row = ticker and accounts.positions_of(self.customer_id).filter(ticker=ticker).first()
        if not row:
            raise AlpacaError(404, 40410000, "position does not exist")
        return row


def _positions(rows: list[Position]) -> list[dict[str, Any]]:
    prices = _prices(rows)
    markets = dict(Stock.objects.filter(ticker__in=[row.ticker for row in rows]).values_list("ticker", "market"))
    return [alpaca.position(row, prices.get(row.ticker), markets.get(row.ticker, "")) for row in rows]


def _prices(rows: list[Position]) -> dict[str, Decimal]:
    """The last prices; none while the exchange is away."""
    try:
        return {ticker: quote["price"] for ticker, quote in gateway.quotes([row.ticker for row in rows]).items()}
    except Unknown:
        return {}


def _ticker(symbol: str) -> str | None:
    """The ticker that a symbol, or an asset's id, means; None for an id of nothing."""
    if (given := _uuid(symbol)) is None:
        ticker = symbol.upper()
        return ticker if market.TICKER.fullmatch(ticker) else None
    return next((t for t in Stock.objects.values_list("ticker", flat=True) if alpaca.asset_id(t) == given), None)


# -- the market


class AssetsQuerySerializer(Query):
    status = serializers.ChoiceField(["active", "inactive"], required=False)
    asset_class = TextField(required=False, max_length=40)
    exchange = TextField(required=False, max_length=20)
    attributes = TextField(required=False, max_length=200)


class AssetsView(AlpacaView):
    """What is listed."""

    @extend_schema(
        operation_id="alpacaListAssets",
        parameters=[AssetsQuerySerializer],
        responses=schema.AlpacaAssetSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """The stocks that the exchange lists, or listed."""
        asked = self.asked(AssetsQuerySerializer, request.query_params)
        stocks = Stock.objects.order_by("ticker")
        if "status" in asked:
            stocks = stocks.filter(listed=asked["status"] == "active")
        if "exchange" in asked:
            stocks = stocks.filter(market=asked["exchange"])
        if asked.get("asset_class", "us_equity") != "us_equity" or asked.get("attributes"):
            stocks = stocks.none()
        return Response([alpaca.asset(stock) for stock in stocks])


class AssetView(AlpacaView):
    """One stock."""

    @extend_schema(operation_id="alpacaGetAsset", responses=schema.AlpacaAssetSerializer)
    def get(self, request: Request, symbol: str) -> Response:
        """One stock, by its symbol or its asset's id."""
        stock = Stock.objects.filter(ticker=_ticker(symbol) or "").first()
        if stock is None:
            raise AlpacaError(404, 40410000, f"asset not found for {symbol[:60]}")
        return Response(alpaca.asset(stock))


class ClockView(AlpacaView):
    """Market hours."""

    @extend_schema(operation_id="alpacaGetClock", responses=schema.AlpacaClockSerializer)
    def get(self, request: Request) -> Response:
        """Whether the market is open. One that never closes does so at midnight, UTC, and opens again at once."""
        hours = market.clock()
        if hours is None:
            raise AlpacaError(503, 50310000, "the exchange does not answer")
        now = timezone.now()
        midnight = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
        return Response(
            {
                "timestamp": alpaca.moment(now),
                "is_open": hours["isOpen"],
                "next_open": alpaca.moment(hours["nextOpen"] or midnight),
                "next_close": alpaca.moment(hours["nextClose"] or midnight),
            }
        )


class CalendarQuerySerializer(Query):
    start = serializers.DateField(required=False)
    end = serializers.DateField(required=False)
    date_type = serializers.ChoiceField(["TRADING", "SETTLEMENT"], required=False, help_text="Changes nothing.")


class CalendarView(AlpacaView):
    """Trading days."""

    @extend_schema(
        operation_id="alpacaGetCalendar",
        parameters=[CalendarQuerySerializer],
        responses=schema.AlpacaCalendarDaySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """The days on which the New York Stock Exchange trades, 1970 to 2029; this year's where nothing is said."""
        asked = self.asked(CalendarQuerySerializer, request.query_params)
        year = timezone.now().year
        first = max(asked.get("start") or min(date(year, 1, 1), asked.get("end") or date.max), CALENDAR_FIRST)
        last = min(asked.get("end") or max(date(year, 12, 31), first), CALENDAR_LAST)
        days = trading_days(first, last + timedelta(days=14)) if first <= last else []
        shown = [number for number, (day, _, _) in enumerate(days) if day <= last]
        return Response(
            [
                {
                    "date": days[number][0].isoformat(),
                    "open": f"{days[number][1]:%H:%M}",
                    "close": f"{days[number][2]:%H:%M}",
                    "session_open": f"{days[number][1]:%H%M}",
                    "session_close": f"{days[number][2]:%H%M}",
                    "settlement_date": days[number + 1][0].isoformat(),
                }
                for number in shown
            ]
        )


# -- watchlists


class CreateWatchlistSerializer(Query):
    name = TextField(max_length=64)
    symbols = serializers.ListField(
        child=SymbolField(), required=False, allow_null=True, max_length=WATCHED_MAX, default=None
    )


class UpdateWatchlistSerializer(CreateWatchlistSerializer):
    name = TextField(max_length=64, required=False)


class AddToWatchlistSerializer(Query):
    symbol = SymbolField()


class WatchlistsView(AlpacaView):
    """A customer's watchlists."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaListWatchlists", responses=schema.AlpacaWatchlistSerializer(many=True))
    def get(self, request: Request) -> Response:
        """All of them, without their assets."""
        rows = Watchlist.objects.filter(customer_id=self.customer_id).order_by("name")
        return Response([_watchlist(row, with_assets=False) for row in rows])

    @extend_schema(
        operation_id="alpacaCreateWatchlist",
        request=CreateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request) -> Response:
        """A new one. Its name has to be new as well."""
        asked = self.asked(CreateWatchlistSerializer, request.data)
        mine = Watchlist.objects.filter(customer_id=self.customer_id)
        if mine.count() >= WATCHLISTS_MAX:
            raise AlpacaError(422, UNPROCESSABLE, f"{WATCHLISTS_MAX} watchlists at most")
        row = Watchlist(customer_id=self.customer_id, name=asked["name"], tickers=_listed(asked["symbols"] or []))
        _save(row)
        return Response(_watchlist(row))


class WatchlistView(AlpacaView):
    """One watchlist."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaGetWatchlist", responses=schema.AlpacaWatchlistSerializer)
    def get(self, request: Request, watchlist_id: str) -> Response:
        """One of them, with its assets."""
        return Response(_watchlist(self._mine(watchlist_id)))

    @extend_schema(
        operation_id="alpacaUpdateWatchlist",
        request=UpdateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def put(self, request: Request, watchlist_id: str) -> Response:
        """Change its name, its symbols, or both."""
        asked = self.asked(UpdateWatchlistSerializer, request.data)
        with transaction.atomic():
            row = self._mine(watchlist_id, lock=True)
            row.name = asked.get("name", row.name)
            if asked["symbols"] is not None:
                row.tickers = _listed(asked["symbols"])
            _save(row)
        return Response(_watchlist(row))

    @extend_schema(
        operation_id="alpacaAddToWatchlist",
        request=AddToWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request, watchlist_id: str) -> Response:
        """Add a symbol at its end. Again: it stays where it is."""
        symbol = self.asked(AddToWatchlistSerializer, request.data)["symbol"]
        with transaction.atomic():
            row = self._mine(watchlist_id, lock=True)
            row.tickers = _listed([*row.tickers, symbol])
            _save(row)
        return Response(_watchlist(row))

    @extend_schema(operation_id="alpacaDeleteWatchlist", responses={204: None})
    def delete(self, request: Request, watchlist_id: str) -> Response:
        """Delete it."""
        self._mine(watchlist_id).delete()
        return Response(status=204)

    def _mine(self, watchlist_id: str, lock: bool = False) -> Watchlist:
        rows = Watchlist.objects.select_for_update() if lock else Watchlist.objects.all()
        given = _uuid(watchlist_id)
        row = rows.filter(customer_id=self.customer_id, id=given).first() if given else None
        if row is None:
            raise AlpacaError(404, 40410000, "watchlist not found")
        return row


class WatchedView(WatchlistView):
    """One symbol of a watchlist."""

    http_method_names = ["delete", "options"]

    @extend_schema(operation_id="alpacaRemoveFromWatchlist", responses={200: schema.AlpacaWatchlistSerializer})
    def delete(self, request: Request, watchlist_id: str, symbol: str) -> Response:  # type: ignore[override]
        """Remove a symbol. One that is not in it: 404."""
        with transaction.atomic():
            row = self._mine(watchlist_id, lock=True)
            if symbol.upper() not in row.tickers:
                raise AlpacaError(404, 40410000, "the watchlist has no such symbol")
            row.tickers.remove(symbol.upper())
            _save(row)
        return Response(_watchlist(row))


def _listed(tickers: list[str]) -> list[str]:
    """Each once. Raises AlpacaError for one that is not listed."""
    tickers = list(dict.fromkeys(tickers))
    for ticker in tickers:
        if not market.is_listed(ticker):
            raise AlpacaError(422, UNPROCESSABLE, f"symbols: asset not found for {ticker}")
    if len(tickers) > WATCHED_MAX:
        raise AlpacaError(422, UNPROCESSABLE, f"symbols: {WATCHED_MAX} at most")
    return tickers


def _save(row: Watchlist) -> None:
    try:
        with transaction.atomic():
            row.updated_at = Now()
            row.save()
    except IntegrityError:
        raise AlpacaError(422, UNPROCESSABLE, "watchlist name must be unique") from None
    row.refresh_from_db()


def _watchlist(row: Watchlist, with_assets: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": str(row.id),
        "account_id": str(alpaca.account_id(row.customer_id)),
        "name": row.name,
        "created_at": alpaca.moment(row.created_at),
        "updated_at": alpaca.moment(row.updated_at),
    }
    if with_assets:
        stocks = Stock.objects.in_bulk(row.tickers)
        shown["assets"] = [
            alpaca.asset(stocks.get(ticker) or Stock(ticker=ticker, name=ticker)) for ticker in row.tickers
        ]
    return shown
