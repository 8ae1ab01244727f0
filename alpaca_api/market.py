"""The market: assets, clock, calendar."""

from datetime import UTC, date, datetime, timedelta

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.drf import AlpacaError, AlpacaView
from alpaca_api.fields import includes_stocks, parse_uuid
from exchange import calendar, market
from exchange.models import Stock
from trades import ticker_change
from web.serializers import StrictSerializer, TextField

CALENDAR_FIRST, CALENDAR_LAST = calendar.FIRST_DAY, date(2029, 12, 31)
SETTLEMENT_DAYS_MAX = timedelta(days=14)  # from a trade to its settlement


class AssetsQuerySerializer(StrictSerializer):
    status = serializers.ChoiceField(["active", "inactive"], required=False)
    asset_class = TextField(required=False, max_length=80, allow_blank=True, help_text="Separated by commas.")
    exchange = TextField(required=False, max_length=20)
    attributes = TextField(required=False, max_length=200)


class AssetsView(AlpacaView):
    """The assets."""

    @extend_schema(
        operation_id="alpacaListAssets",
        parameters=[AssetsQuerySerializer],
        responses=schema.AlpacaAssetSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the stocks that are or were listed."""
        params = self.validated(AssetsQuerySerializer, request.query_params)
        stocks = Stock.objects.order_by("ticker")
        if "status" in params:
            stocks = stocks.filter(listed=params["status"] == "active")
        if "exchange" in params:
            stocks = stocks.filter(market=params["exchange"])
        if not includes_stocks(params.get("asset_class", "")) or params.get("attributes"):
            stocks = stocks.none()
        # A stock whose ticker has changed is one asset, under the ticker of today.
        return Response([alpaca.asset(stock) for stock in stocks if ticker_change.today(stock.ticker) == stock.ticker])


class AssetView(AlpacaView):
    """One stock."""

    @extend_schema(operation_id="alpacaGetAsset", responses=schema.AlpacaAssetSerializer)
    def get(self, request: Request, symbol: str) -> Response:
        """Get a stock by its symbol or asset id. An old symbol of a stock leads to the stock as it is now."""
        stock = Stock.objects.filter(ticker=ticker_change.today(ticker_of(symbol) or "")).first()
        if stock is None:
            raise AlpacaError(404, 40410000, f"asset not found for {symbol[:60]}")
        return Response(alpaca.asset(stock))


class ClockView(AlpacaView):
    """Market hours."""

    @extend_schema(operation_id="alpacaGetClock", responses=schema.AlpacaClockSerializer)
    def get(self, request: Request) -> Response:
        """Get the market's status and its next open and close. If it never closes, both are the next midnight UTC."""
        hours = market.clock()
        if hours is None:
            raise AlpacaError(503, 50310000, "the exchange is unavailable")
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


class CalendarQuerySerializer(StrictSerializer):
    start = serializers.DateField(required=False)
    end = serializers.DateField(required=False)
    date_type = serializers.ChoiceField(
        ["TRADING", "SETTLEMENT"], default="TRADING", help_text="Which kind of date `start` and `end` are."
    )


class CalendarView(AlpacaView):
    """Trading days."""

    @extend_schema(
        operation_id="alpacaGetCalendar",
        parameters=[CalendarQuerySerializer],
        responses=schema.AlpacaCalendarDaySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the trading days of the New York Stock Exchange, 2007 to 2029; by default those of this year."""
        params = self.validated(CalendarQuerySerializer, request.query_params)
        year = calendar.today().year
        first = max(params.get("start") or min(date(year, 1, 1), params.get("end") or date.max), CALENDAR_FIRST)
        last = min(params.get("end") or max(date(year, 12, 31), first), CALENDAR_LAST)
        is_settlement = params["date_type"] == "SETTLEMENT"
        earliest = first - SETTLEMENT_DAYS_MAX if is_settlement else first
        days = [
            (session, calendar.settlement_date(session.day))
            for session in (calendar.sessions(earliest, last) if first <= last else [])
        ]
        return Response(
            [
                {
                    "date": session.day.isoformat(),
                    "open": f"{session.opens:%H:%M}",
                    "close": f"{session.closes:%H:%M}",
                    "session_open": f"{session.opens:%H%M}",
                    "session_close": f"{session.closes:%H%M}",
                    "settlement_date": settles_on.isoformat(),
                }
                for session, settles_on in days
                if not is_settlement or first <= settles_on <= last
            ]
        )


def ticker_of(symbol: str) -> str | None:
    """Return the ticker for a symbol or an asset id; None if it isn't a valid ticker or no stock has this id."""
    if (asset_id := parse_uuid(symbol)) is None:
        ticker = symbol.upper()
        return ticker if market.TICKER.fullmatch(ticker) else None
    tickers = Stock.objects.values_list("ticker", flat=True)
    found = next((ticker for ticker in tickers if alpaca.asset_id(ticker) == asset_id), None)
    return found and ticker_change.today(found)
