"""What the account was worth: its portfolio history."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from alpaca_api import history, schema
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView, FlagField
from alpaca_api.positions import last_prices
from web.drf import StrictSerializer, TextField


class HistoryQuerySerializer(StrictSerializer):
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
        prices = last_prices(list(accounts.positions_of(self.customer_id))) if end == now else {}
        try:
            return Response(history.portfolio(self.customer_id, start, end, timeframe, prices))
        except history.TooLong:
            raise AlpacaError(422, UNPROCESSABLE, f"more than {history.POINTS_MAX} points") from None
