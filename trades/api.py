"""The REST API of trading: PlaceTrade, GetTrade, positions, quotes, the market."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from accounts.api import IDEMPOTENCY_KEY
from accounts.models import Position, Token
from accounts.money import money
from exchange import gateway, market, prices
from exchange.messages import Unknown, storable
from trades.cancel import NoSuchTrade, cancel_trade
from trades.models import Reason, Status, Trade, Type, WhenClosed
from trades.place import QUANTITY_MAX, place_trade
from trades.search import TradeFilter, find_trades
from web.drf import (
    CustomerView,
    PageQuery,
    StrictSerializer,
    TextField,
    WholeNumberField,
    WordField,
    created,
    cut,
    idempotency_key,
    moment_field,
    money_field,
    shared,
)


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
        help_text="If its turn comes while the market is closed: `reject` it, or `queue` it for the opening.",
    )


class TradeSerializer(serializers.Serializer[Any]):
    tradeId = serializers.UUIDField(source="id")
    stockTicker = serializers.CharField(source="ticker")
    type = serializers.ChoiceField(Type.choices)
    quantity = serializers.IntegerField(help_text="Whole shares.")
    createdAt = moment_field(source="placed_at")
    status = serializers.ChoiceField(Status.choices)
    reason = serializers.SerializerMethodField(help_text="Why it was REJECTED, for people.")
    reasonCode = serializers.SerializerMethodField(help_text="Why it was REJECTED, for programs; null if it was not.")
    price = money_field(allow_null=True, help_text="USD a share, once FILLED.")
    amount = money_field(allow_null=True, help_text="USD in all, once FILLED.")
    settledAt = moment_field(source="settled_at", allow_null=True, help_text="When it became final.")
    whenClosed = serializers.ChoiceField(WhenClosed.choices, source="when_closed")
    collarPrice = money_field(
        source="collar_price",
        allow_null=True,
        help_text="The most that a share may cost, USD; null until it is sent, without a known price, and for a SELL.",
    )
    fees = money_field(source="fee", allow_null=True, help_text="All its fees, USD; once FILLED.")
    netAmount = money_field(
        source="net_amount",
        allow_null=True,
        help_text="What it cost or brought with its fees, USD; once FILLED.",
    )
    settlesOn = serializers.DateField(
        source="settlement_date",
        allow_null=True,
        help_text="The day on which cash and shares settle, Eastern; once FILLED.",
    )

    def get_reason(self, trade: Trade) -> str | None:
        return trade.reason or None

    @extend_schema_field(serializers.ChoiceField(Reason.choices, allow_null=True))
    def get_reasonCode(self, trade: Trade) -> str | None:
        return trade.reason_code or None


def shown(trade: Trade) -> dict[str, Any]:
    """A trade as the API shows it."""
    return dict(shared(TradeSerializer).to_representation(trade))


class TradePageSerializer(serializers.Serializer[Any]):
    results = TradeSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="`cursor` of the next page; null on the last.")


class TradeQuerySerializer(PageQuery):
    status = serializers.ChoiceField(Status.choices, required=False)
    stockTicker = TickerField(required=False)
    type = serializers.ChoiceField(Type.choices, required=False)
    placedAfter = serializers.DateTimeField(required=False, help_text="Not at this time: after it.")
    placedBefore = serializers.DateTimeField(required=False)


class PositionSerializer(serializers.Serializer[Any]):
    stockTicker = serializers.CharField(source="ticker")
    quantity = serializers.IntegerField(help_text="Whole shares.")
    held = serializers.IntegerField(help_text="Set aside for the SELL in progress.")
    averagePrice = money_field(source="average_price", help_text="What a share cost on average, USD.")
    lastPrice = money_field(allow_null=True, help_text="USD a share; null while the exchange is away.")
    marketValue = money_field(allow_null=True, help_text="quantity × lastPrice.")


class QuoteSerializer(serializers.Serializer[Any]):
    stockTicker = serializers.CharField()
    price = money_field(help_text="The last price, USD a share.")
    at = moment_field()


class MarketSerializer(serializers.Serializer[Any]):
    isOpen = serializers.BooleanField()
    hours = serializers.CharField(help_text="`nyse`, or `always` where the stand-in exchange never closes.")
    nextOpen = moment_field(allow_null=True)
    nextClose = moment_field(allow_null=True)


class ExchangeUnavailable(exceptions.APIException):
    status_code = 503
    default_code = "exchange_unavailable"
    default_detail = "The exchange does not answer. Try again in a moment."


class TradesView(CustomerView):
    """A customer's trades."""

    scope = Token.Scope.TRADE

    @extend_schema(
        operation_id="placeTrade",
        request=PlaceTradeSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: TradeSerializer, 200: OpenApiResponse(TradeSerializer, "The same key came before.")},
        tags=["trades"],
    )
    def post(self, request: Request) -> Response:
        """Place a market order. It is PLACED when this answers, and FILLED or REJECTED soon after."""
        key = idempotency_key(request)
        asked = shared(PlaceTradeSerializer).run_validation(request.data)
        trade, replayed = place_trade(
            self.customer_id,
            asked["stockTicker"],
            asked["type"],
            asked["quantity"],
            key,
            when_closed=asked["whenClosed"],
        )
        return created(shown(trade), replayed, {"Location": f"/api/v1/trades/{trade.id}"})

    @extend_schema(
        operation_id="listTrades", parameters=[TradeQuerySerializer], responses=TradePageSerializer, tags=["trades"]
    )
    def get(self, request: Request) -> Response:
        """Your trades, newest first."""
        query = TradeQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        wanted = TradeFilter(
            statuses=[asked["status"]] if "status" in asked else (),
            types=[asked["type"]] if "type" in asked else (),
            tickers=[asked["stockTicker"]] if "stockTicker" in asked else (),
            placed_after=asked.get("placedAfter"),
            placed_before=asked.get("placedBefore"),
            below=asked.get("cursor"),
        )
        trades = find_trades(self.customer_id, wanted, asked["limit"] + 1)
        return Response(cut(trades, "sequence", asked["limit"], shown))


class TradeView(CustomerView):
    """One trade."""

    @extend_schema(operation_id="getTrade", responses=TradeSerializer, tags=["trades"])
    def get(self, request: Request, trade_id: UUID) -> Response:
        """One of your trades, as it is now."""
        trade = Trade.objects.filter(customer_id=self.customer_id, id=trade_id).first()
        if trade is None:
            raise exceptions.NotFound("You have no such trade.")
        return Response(shown(trade))


class CancelView(CustomerView):
    """Taking a trade back."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="cancelTrade", request=None, responses=TradeSerializer, tags=["trades"])
    def post(self, request: Request, trade_id: UUID) -> Response:
        """Take back a trade that is still PLACED: it ends REJECTED, `cancelled`. Sent already, or final: 409."""
        try:
            return Response(shown(cancel_trade(self.customer_id, trade_id, by="api")))
        except NoSuchTrade:
            raise exceptions.NotFound("You have no such trade.") from None


class PositionsView(CustomerView):
    """What a customer holds."""

    @extend_schema(operation_id="listPositions", responses=PositionSerializer(many=True), tags=["account"])
    def get(self, request: Request) -> Response:
        """The stocks that you hold, by ticker."""
        return Response(PositionSerializer(_valued(list(accounts.positions_of(self.customer_id))), many=True).data)


class PositionView(CustomerView):
    """What a customer holds of one stock."""

    @extend_schema(operation_id="getPosition", responses=PositionSerializer, tags=["account"])
    def get(self, request: Request, ticker: str) -> Response:
        """What you hold of one stock."""
        positions = list(accounts.positions_of(self.customer_id).filter(ticker=storable(ticker.upper())))
        if not positions:
            raise exceptions.NotFound("You hold no such stock.")
        return Response(PositionSerializer(_valued(positions)[0]).data)


def _valued(positions: list[Position]) -> list[dict[str, Any]]:
    """Positions with last price and market value, which are None while the exchange is away."""
    quotes = prices.quotes(position.ticker for position in positions)
    valued = []
    for position in positions:
        price = quotes[position.ticker].price if position.ticker in quotes else None
        valued.append(
            {
                "ticker": position.ticker,
                "quantity": position.quantity,
                "held": position.held,
                "average_price": position.average_price,
                "lastPrice": price,
                "marketValue": None if price is None else money(price * position.quantity),
            }
        )
    return valued


class QuoteView(CustomerView):
    """The last price of a stock."""

    @extend_schema(operation_id="getQuote", responses=QuoteSerializer, tags=["market"])
    def get(self, request: Request, ticker: str) -> Response:
        """The last price of a stock, and its time."""
        try:
            quote = prices.quote(ticker.upper())
        except gateway.NotListed:
            raise exceptions.NotFound(f"The exchange does not list “{ticker}”.") from None
        except Unknown:
            raise ExchangeUnavailable from None
        return Response(QuoteSerializer({"stockTicker": ticker.upper(), "price": quote.price, "at": quote.at}).data)


class MarketView(CustomerView):
    """Market hours."""

    @extend_schema(operation_id="getMarket", responses=MarketSerializer, tags=["market"])
    def get(self, request: Request) -> Response:
        """Whether the market is open, and when it next opens and closes."""
        if (clock := market.clock()) is None:
            raise ExchangeUnavailable
        return Response(MarketSerializer(clock).data)
