"""What the account was worth: the endpoint of its portfolio history."""

from datetime import datetime, time, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from alpaca_api import history, schema
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView, FlagField
from exchange.calendar import FIRST_DAY
from web.drf import StrictSerializer, TextField
from web.timezones import EASTERN

PERIOD = "1M"


class HistoryQuerySerializer(StrictSerializer):
    period = TextField(required=False, max_length=5, help_text="1D, 2W, 1M, 1A, all; 1M by default.")
    timeframe = serializers.ChoiceField(
        list(history.STEPS),
        required=False,
        help_text="By default 1Min for less than 7 days, 15Min for less than 30, else 1D.",
    )
    intraday_reporting = serializers.ChoiceField(
        ["market_hours", "extended_hours", "continuous"],
        required=False,
        help_text="Which hours have points of less than 1D.",
    )
    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    date_start = serializers.DateField(required=False, help_text="Eastern.")
    date_end = serializers.DateField(required=False, help_text="Eastern.")
    pnl_reset = serializers.ChoiceField(
        ["per_day", "no_reset"], default="per_day", help_text="From when profit is counted, for less than 1D."
    )
    extended_hours = FlagField(required=False, help_text="As `intraday_reporting=extended_hours`.")
    cashflow_types = TextField(
        required=False, max_length=100, default="ALL", help_text="ALL, NONE, or types of activities by commas."
    )

    def validate_period(self, period: str) -> timedelta | None:
        try:
            return history.span(period)
        except ValueError:
            raise serializers.ValidationError("must be such as 1D, 2W, 1M, 1A or all") from None

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "date_start" in asked:
            asked.setdefault("start", datetime.combine(asked["date_start"], time.min, EASTERN))
        if "date_end" in asked:
            asked.setdefault("end", datetime.combine(asked["date_end"], time.max, EASTERN))
        if "period" in asked and "start" in asked and "end" in asked:
            raise serializers.ValidationError({"period": "can't be given with both start and end"})
        return asked


class PortfolioHistoryView(AlpacaView):
    """What the account was worth."""

    @extend_schema(
        operation_id="alpacaGetPortfolioHistory",
        parameters=[HistoryQuerySerializer],
        responses=schema.AlpacaPortfolioHistorySerializer,
    )
    def get(self, request: Request) -> Response:
        """Equity, profit and cash flows over time. A point has the time at which its window begins, and the equity with
        which it ends. Deposits and withdrawals are no profit."""
        asked = self.asked(HistoryQuerySerializer, request.query_params)
        start, end = self._range(asked)
        timeframe = asked.get("timeframe") or _timeframe_of(end - start)
        if timeframe != "1D" and end - start > history.INTRADAY_MAX:
            raise AlpacaError(422, UNPROCESSABLE, "timeframe: for more than 30 days only 1D is supported")
        reporting = "extended_hours" if asked.get("extended_hours") else "market_hours"
        try:
            grid = history.windows(start, end, timeframe, asked.get("intraday_reporting", reporting))
        except history.TooLong:
            raise AlpacaError(422, UNPROCESSABLE, f"more than {history.POINTS_MAX} points") from None
        if not grid:
            raise AlpacaError(422, UNPROCESSABLE, "start, end: no trading day lies between them")
        types = {name for name in asked["cashflow_types"].upper().split(",") if name}
        told = None if "ALL" in types else types - {"NONE"}
        resets_daily = asked["pnl_reset"] == "per_day"
        return Response(history.portfolio(self.customer_id, grid, timeframe, told, resets_daily))

    def _range(self, asked: dict[str, Any]) -> tuple[datetime, datetime]:
        """Return between which moments the points lie.

        Raises:
            AlpacaError: That is no stretch of time, or it is before our calendar.
        """
        earliest = datetime.combine(FIRST_DAY, time.min, EASTERN)
        end = min(asked.get("end") or timezone.now(), timezone.now())
        if end <= earliest:
            raise AlpacaError(422, UNPROCESSABLE, "end: too long ago")
        length = asked["period"] if "period" in asked else history.span(PERIOD)
        if "start" in asked:
            start = asked["start"]
            if "period" in asked and length is not None:
                end = min(start + length, end) if start > earliest else end
        elif length is None:
            first = accounts.postings_of(self.customer_id).order_by("id").first()
            start = first.created_at if first else end - timedelta(days=1)
        else:
            start = history.start_of(end, min(length, end - earliest))
        if start >= end:
            raise AlpacaError(422, UNPROCESSABLE, "start must be before end")
        return max(start, earliest), end


def _timeframe_of(length: timedelta) -> str:
    if length < timedelta(days=7):
        return "1Min"
    return "15Min" if length < timedelta(days=30) else "1D"
