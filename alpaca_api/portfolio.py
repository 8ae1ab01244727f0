"""The endpoint for the portfolio history."""

from datetime import datetime, time, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from alpaca_api import history, schema
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView
from exchange.calendar import FIRST_DAY
from web.serializers import StrictSerializer, TextField
from web.timezones import EASTERN

PERIOD = "1M"


class HistoryQuerySerializer(StrictSerializer):
    period = TextField(required=False, max_length=5, help_text="1D, 2W, 1M, 1A, all; 1M by default.")
    timeframe = serializers.ChoiceField(
        list(history.STEPS),
        required=False,
        help_text="By default 1Min for less than 7 days, 15Min for less than 30, otherwise 1D.",
    )
    intraday_reporting = serializers.ChoiceField(
        ["market_hours", "extended_hours", "continuous"],
        required=False,
        help_text="The hours that intraday points cover.",
    )
    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    date_start = serializers.DateField(required=False, help_text="Eastern.")
    date_end = serializers.DateField(required=False, help_text="Eastern.")
    pnl_reset = serializers.ChoiceField(
        ["per_day", "no_reset"], default="per_day", help_text="Whether intraday profit starts at zero each day."
    )
    extended_hours = serializers.BooleanField(required=False, help_text="Same as `intraday_reporting=extended_hours`.")
    cashflow_types = TextField(
        required=False, max_length=100, default="ALL", help_text="ALL, NONE, or activity types separated by commas."
    )

    def validate_period(self, period: str) -> timedelta | None:
        try:
            return history.parse_period(period)
        except ValueError:
            raise serializers.ValidationError("must be like 1D, 2W, 1M or 1A, or all") from None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "date_start" in attrs:
            attrs.setdefault("start", datetime.combine(attrs["date_start"], time.min, EASTERN))
        if "date_end" in attrs:
            attrs.setdefault("end", datetime.combine(attrs["date_end"], time.max, EASTERN))
        if "period" in attrs and "start" in attrs and "end" in attrs:
            raise serializers.ValidationError({"period": "can't be given with both start and end"})
        return attrs


class PortfolioHistoryView(AlpacaView):
    """The portfolio history."""

    @extend_schema(
        operation_id="alpacaGetPortfolioHistory",
        parameters=[HistoryQuerySerializer],
        responses=schema.AlpacaPortfolioHistorySerializer,
    )
    def get(self, request: Request) -> Response:
        """Get equity, profit and cash flows over time. A point has the start time of its window and the equity at the
        end of it. Deposits and withdrawals do not count as profit."""
        params = self.validated(HistoryQuerySerializer, request.query_params)
        start, end = self._range(params)
        timeframe = params.get("timeframe") or _timeframe_of(end - start)
        if timeframe != "1D" and end - start > history.INTRADAY_MAX:
            raise AlpacaError(422, UNPROCESSABLE, "timeframe: must be 1D for more than 30 days")
        reporting = "extended_hours" if params.get("extended_hours") else "market_hours"
        try:
            grid = history.windows(start, end, timeframe, params.get("intraday_reporting", reporting))
        except history.TooManyPoints:
            raise AlpacaError(422, UNPROCESSABLE, f"more than {history.POINTS_MAX} points") from None
        if not grid:
            raise AlpacaError(422, UNPROCESSABLE, "start, end: there is no trading day between them")
        types = {name for name in params["cashflow_types"].upper().split(",") if name}
        included_types = None if "ALL" in types else types - {"NONE"}
        resets_daily = params["pnl_reset"] == "per_day"
        return Response(history.portfolio(self.customer_id, grid, timeframe, included_types, resets_daily))

    def _range(self, params: dict[str, Any]) -> tuple[datetime, datetime]:
        """Return the start and the end of the history.

        Raises:
            AlpacaError: The start is not before the end, or the end is before our calendar.
        """
        earliest = datetime.combine(FIRST_DAY, time.min, EASTERN)
        end = min(params.get("end") or timezone.now(), timezone.now())
        if end <= earliest:
            raise AlpacaError(422, UNPROCESSABLE, "end: too long ago")
        length = params["period"] if "period" in params else history.parse_period(PERIOD)
        if "start" in params:
            start = params["start"]
            if "period" in params and length is not None:
                end = min(start + length, end) if start > earliest else end
        elif length is None:
            first = accounts.postings_of(self.customer_id).order_by("id").first()
            start = first.created_at if first else end - timedelta(days=1)
        else:
            start = history.period_start(end, min(length, end - earliest))
        if start >= end:
            raise AlpacaError(422, UNPROCESSABLE, "start must be before end")
        return max(start, earliest), end


def _timeframe_of(length: timedelta) -> str:
    if length < timedelta(days=7):
        return "1Min"
    return "15Min" if length < timedelta(days=30) else "1D"
