"""The REST API of trading: PlaceTrade, GetTrade, positions, quotes, the market."""

import re
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from accounts.api import IDEMPOTENCY_KEY
from accounts.models import Position, Token
from exchange import gateway, market, prices
from exchange.messages import Unknown, storable
from trades.cancel import NoSuchTrade, cancel_trade
from trades.models import Reason, Status, Trade, Type, WhenClosed
from trades.place import QUANTITY_MAX, place_trade
from trades.search import TradeFilter, find_trades
from web.drf import CustomerView, LateConfirmedView, PageQuery, created, idempotency_key, page_of_rows
from web.serializers import (
    StrictSerializer,
    TextField,
    WholeNumberField,
    WordField,
    moment_field,
    moment_text,
    money_field,
    money_text,
    shown,
    validated,
)

PLAIN_TICKER = re.compile("[A-Z]{1,12}")
PLAIN_FIELDS_COUNT = 3


class TickerField(TextField):
    """A stock's ticker; lower case is accepted."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=12, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).upper()


class PlaceTradeSerializer(StrictSerializer):
    stockTicker = TickerField(help_text="As the exchange lists it: AAPL.")
    type = WordField(Type.choices)
    quantity = WholeNumberField(min_value=1, max_value=QUANTITY_MAX, help_text="Whole shares.")
    whenClosed = WordField(
        WhenClosed.choices,
        default=WhenClosed.REJECT.value,
        help_text="What to do if the market is closed when its turn comes: `reject` it, or `queue` it for the opening.",
    )

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Return the valid data. An order without anything unusual is valid, so that its fields need not look at it."""
        if type(data) is dict and len(data) == PLAIN_FIELDS_COUNT:
            ticker, type_, quantity = data.get("stockTicker"), data.get("type"), data.get("quantity")
            if (
                (isinstance(ticker, str) and PLAIN_TICKER.fullmatch(ticker))
                and (type_ in ("BUY", "SELL"))
                and (type(quantity) is int and 1 <= quantity <= QUANTITY_MAX)
            ):
                return data | {"whenClosed": WhenClosed.REJECT.value}
        return super().run_validation(data)


class TradeSerializer(serializers.Serializer[Any]):
    tradeId = serializers.UUIDField(source="id")
    stockTicker = serializers.CharField(source="ticker")
    type = serializers.ChoiceField(Type.choices)
    quantity = serializers.IntegerField(help_text="Whole shares.")
    createdAt = moment_field(source="placed_at")
    status = serializers.ChoiceField(Status.choices)
    reason = serializers.SerializerMethodField(help_text="Why it was REJECTED, as a sentence for people.")
    reasonCode = serializers.SerializerMethodField(help_text="Why it was REJECTED, as a code for programs, or null.")
    price = money_field(allow_null=True, help_text="USD per share, once FILLED.")
    amount = money_field(allow_null=True, help_text="USD in total, once FILLED.")
    settledAt = moment_field(source="settled_at", allow_null=True, help_text="When it became final.")
    whenClosed = serializers.ChoiceField(WhenClosed.choices, source="when_closed")
    collarPrice = money_field(
        source="collar_price",
        allow_null=True,
        help_text="The most that a share may cost, USD. Null for a SELL, before the trade is sent, and where no last "
        "price was known.",
    )
    fees = money_field(source="fee", allow_null=True, help_text="Total fees, USD, once FILLED.")
    netAmount = money_field(
        source="net_amount",
        allow_null=True,
        help_text="Total cost or proceeds after fees, USD, once FILLED.",
    )
    placedAs = serializers.CharField(
        source="placed_as",
        allow_null=True,
        help_text="The ticker that it was placed under, if the stock got another one before its turn; otherwise null.",
    )
    settlesOn = serializers.DateField(
        source="settlement_date",
        allow_null=True,
        help_text="The Eastern date on which cash and shares settle, once FILLED.",
    )

    def get_reason(self, trade: Trade) -> str | None:
        return trade.reason or None

    @extend_schema_field(serializers.ChoiceField(Reason.choices, allow_null=True))
    def get_reasonCode(self, trade: Trade) -> str | None:
        return trade.reason_code or None

    def to_representation(self, trade: Trade) -> dict[str, Any]:
        """Return what the fields say. Going through them takes six times as long, and every placing is answered so."""
        return {
            "tradeId": str(trade.id),
            "stockTicker": trade.ticker,
            "type": trade.type,
            "quantity": trade.quantity,
            "createdAt": moment_text(trade.placed_at),
            "status": trade.status,
            "reason": trade.reason or None,
            "reasonCode": trade.reason_code or None,
            "price": money_text(trade.price),
            "amount": money_text(trade.amount),
            "settledAt": moment_text(trade.settled_at),
            "whenClosed": trade.when_closed,
            "collarPrice": money_text(trade.collar_price),
            "fees": money_text(trade.fee),
            "netAmount": money_text(trade.net_amount),
            "placedAs": trade.placed_as,
            "settlesOn": None if (day := trade.settlement_date) is None else day.isoformat(),
        }


def trade_data(trade: Trade) -> dict[str, Any]:
    """Return a trade in the format of the API."""
    return shown(TradeSerializer, trade)


class TradePageSerializer(serializers.Serializer[Any]):
    results = TradeSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="The `cursor` of the next page; null on the last page.")


class TradeQuerySerializer(PageQuery):
    status = serializers.ChoiceField(Status.choices, required=False)
    stockTicker = TickerField(required=False)
    type = serializers.ChoiceField(Type.choices, required=False)
    placedAfter = serializers.DateTimeField(required=False, help_text="Exclusive.")
    placedBefore = serializers.DateTimeField(required=False, help_text="Exclusive.")


class PositionSerializer(serializers.Serializer[Any]):
    stockTicker = serializers.CharField(source="ticker")
    quantity = serializers.IntegerField(help_text="Whole shares.")
    held = serializers.IntegerField(help_text="Set aside for the SELL in progress.")
    averagePrice = money_field(source="average_price", help_text="Average cost per share, USD.")
    lastPrice = money_field(allow_null=True, help_text="USD per share; null while the exchange can't be reached.")
    isLastKnown = serializers.BooleanField(
        help_text="True: the exchange no longer lists the stock, and `lastPrice` is the last one known."
    )
    marketValue = money_field(allow_null=True, help_text="quantity × lastPrice.")


class QuoteSerializer(serializers.Serializer[Any]):
    stockTicker = serializers.CharField()
    price = money_field(help_text="The last price, USD per share.")
    at = moment_field()


class MarketSerializer(serializers.Serializer[Any]):
    isOpen = serializers.BooleanField()
    hours = serializers.CharField(help_text="`nyse`, or `always` where the stand-in exchange never closes.")
    nextOpen = moment_field(allow_null=True)
    nextClose = moment_field(allow_null=True)


class ExchangeUnavailable(exceptions.APIException):
    status_code = 503
    default_code = "exchange_unavailable"
    default_detail = "The exchange is not responding. Try again in a moment."


class TradesView(LateConfirmedView):
    """A customer's trades."""

    scope = Token.Scope.TRADE

    @extend_schema(
        operation_id="placeTrade",
        request=PlaceTradeSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: TradeSerializer, 200: OpenApiResponse(TradeSerializer, "This key was used before.")},
        tags=["trades"],
    )
    def post(self, request: Request) -> Response:
        """Place a market order. The response shows it as PLACED; soon after, it is FILLED or REJECTED."""
        key = idempotency_key(request)
        data = validated(PlaceTradeSerializer, request.data)
        trade, replayed = place_trade(
            self.customer_id,
            data["stockTicker"],
            data["type"],
            data["quantity"],
            key,
            when_closed=data["whenClosed"],
            access=self.access,
        )
        return created(trade_data(trade), replayed, {"Location": f"/api/v1/trades/{trade.id}"})

    @extend_schema(
        operation_id="listTrades", parameters=[TradeQuerySerializer], responses=TradePageSerializer, tags=["trades"]
    )
    def get(self, request: Request) -> Response:
        """List your trades, newest first."""
        data = self.list_query(TradeQuerySerializer)
        trade_filter = TradeFilter(
            statuses=[data["status"]] if "status" in data else (),
            types=[data["type"]] if "type" in data else (),
            tickers=[data["stockTicker"]] if "stockTicker" in data else (),
            placed_after=data.get("placedAfter"),
            placed_before=data.get("placedBefore"),
            below=data.get("cursor"),
        )
        trades = find_trades(self.customer_id, trade_filter, data["limit"] + 1)
        return Response(page_of_rows(trades, "sequence", data["limit"], trade_data))


class TradeView(CustomerView):
    """One trade."""

    @extend_schema(operation_id="getTrade", responses=TradeSerializer, tags=["trades"])
    def get(self, request: Request, trade_id: UUID) -> Response:
        """Show one of your trades as it is now."""
        trade = Trade.objects.filter(customer_id=self.customer_id, id=trade_id).first()
        if trade is None:
            raise exceptions.NotFound("You have no trade with this id.")
        return Response(trade_data(trade))


class CancelView(CustomerView):
    """The cancellation of a trade."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="cancelTrade", request=None, responses=TradeSerializer, tags=["trades"])
    def post(self, request: Request, trade_id: UUID) -> Response:
        """Cancel a trade that is still PLACED. It ends REJECTED with reason `cancelled`; if it was sent already or is
        final, the answer is 409."""
        try:
            return Response(trade_data(cancel_trade(self.customer_id, trade_id, by="api")))
        except NoSuchTrade:
            raise exceptions.NotFound("You have no trade with this id.") from None


class PositionsView(CustomerView):
    """A customer's positions."""

    @extend_schema(operation_id="listPositions", responses=PositionSerializer(many=True), tags=["account"])
    def get(self, request: Request) -> Response:
        """List your positions by ticker."""
        positions = _with_market_values(list(accounts.positions_of(self.customer_id)))
        return Response([shown(PositionSerializer, position) for position in positions])


class PositionView(CustomerView):
    """A customer's position in one stock."""

    @extend_schema(operation_id="getPosition", responses=PositionSerializer, tags=["account"])
    def get(self, request: Request, ticker: str) -> Response:
        """Show your position in one stock."""
        positions = list(accounts.positions_of(self.customer_id).filter(ticker=storable(ticker.upper())))
        if not positions:
            raise exceptions.NotFound("You have no position in this stock.")
        return Response(shown(PositionSerializer, _with_market_values(positions)[0]))


def _with_market_values(positions: list[Position]) -> list[dict[str, Any]]:
    """Add the last price and the market value to positions; both are None while the exchange can't be reached."""
    quotes = prices.quotes(position.ticker for position in positions)
    valued = []
    for position in positions:
        quote = quotes.get(position.ticker)
        price = None if quote is None else quote.price
        valued.append(
            {
                "ticker": position.ticker,
                "quantity": position.quantity,
                "held": position.held,
                "average_price": position.average_price,
                "lastPrice": price,
                "isLastKnown": quote is not None and quote.is_last_known,
                "marketValue": position.market_value(price),
            }
        )
    return valued


class QuoteView(CustomerView):
    """The last price of a stock."""

    @extend_schema(operation_id="getQuote", responses=QuoteSerializer, tags=["market"])
    def get(self, request: Request, ticker: str) -> Response:
        """Show the last price of a stock and its time."""
        try:
            quote = prices.quote(ticker.upper())
        except gateway.NotListed:
            raise exceptions.NotFound(f"The exchange does not list “{ticker}”.") from None
        except Unknown:
            raise ExchangeUnavailable from None
        return Response(shown(QuoteSerializer, {"stockTicker": ticker.upper(), "price": quote.price, "at": quote.at}))


class MarketView(CustomerView):
    """Market hours."""

    @extend_schema(operation_id="getMarket", responses=MarketSerializer, tags=["market"])
    def get(self, request: Request) -> Response:
        """Show whether the market is open, and when it next opens and closes."""
        if (clock := market.clock()) is None:
            raise ExchangeUnavailable
        return Response(shown(MarketSerializer, clock))
