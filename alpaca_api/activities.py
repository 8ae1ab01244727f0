"""Account activities: fills, deposits, withdrawals, adjustments."""

from datetime import date, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from accounts.models import CASH, Posting
from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView
from alpaca_api.fields import parse_uuid
from web.drf import StrictSerializer, TextField
from web.timezones import EASTERN


@extend_schema_field({"type": "string", "description": "2026-11-23, or 2026-11-23T15:04:05Z."})
class DateOrTimeField(serializers.Field[Any, Any, Any, Any]):
    """A day, or a time, which stands for its day; both Eastern."""

    def to_internal_value(self, data: Any) -> date:
        day = serializers.DateField()
        try:
            found: date = day.to_internal_value(data)
        except serializers.ValidationError:
            moment: datetime = serializers.DateTimeField().to_internal_value(data)
            try:
                found = moment.astimezone(EASTERN).date()
            except OverflowError:
                raise serializers.ValidationError("out of range") from None
        if not date(1970, 1, 1) <= found <= date(2200, 1, 1):
            raise serializers.ValidationError("out of range")
        return found


class ActivitiesQuerySerializer(StrictSerializer):
    activity_types = TextField(
        required=False, max_length=200, help_text="FILL, CSD, CSW, FEE, JNLC, JNLS, DIV, SPLIT, CIL, SC; by commas."
    )
    category = serializers.ChoiceField(["trade_activity", "non_trade_activity"], required=False)
    date = DateOrTimeField(required=False, help_text="A day, Eastern, or a time of it.")
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
    "FEE": Q(kind=Posting.Kind.FEE),
    "JNLC": Q(kind=Posting.Kind.ADJUSTMENT, ticker=CASH),
    "JNLS": Q(kind=Posting.Kind.ADJUSTMENT) & ~Q(ticker=CASH),
    "DIV": Q(kind=Posting.Kind.DIVIDEND),
    "CIL": Q(kind=Posting.Kind.SPLIT, ticker=CASH),
    "SPLIT": Q(kind=Posting.Kind.SPLIT) & ~Q(ticker=CASH),
    "SC": Q(kind=Posting.Kind.NEW_TICKER),
}
NONE = Q(pk__in=[])


class ActivitiesView(AlpacaView):
    """Account activities."""

    @extend_schema(
        operation_id="alpacaListActivities",
        parameters=[ActivitiesQuerySerializer],
        responses=schema.AlpacaActivitySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Fills, deposits, withdrawals and adjustments, newest first unless asked otherwise."""
        return self.answer(request)

    def answer(self, request: Request, activity_type: str | None = None) -> Response:
        """Answer with the activities that the query asks for, of one type or of those that it names."""
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
            begins = datetime.combine(asked["date"], time.min, EASTERN)
            rows = rows.filter(created_at__gte=begins, created_at__lt=begins + timedelta(days=1))
        falling = asked["direction"] == "desc"
        if "page_token" in asked:
            last = self._last(asked["page_token"])
            rows = rows.filter(id__lt=last) if falling else rows.filter(id__gt=last)
        page = rows.order_by("-id" if falling else "id")[: asked["page_size"]]
        return Response([alpaca.activity(posting) for posting in page])

    def _last(self, token: str) -> int:
        cause = parse_uuid(token.rpartition("::")[2])
        ids = [cause, alpaca.of_its_fee(cause)] if cause else []
        found = [
            row
            for row in accounts.postings_of(self.customer_id).filter(cause__in=ids)
            if alpaca.activity_uuid(row) == cause and (row.ticker != CASH or row.kind not in TRADE_KINDS)
        ]
        if not found:
            raise AlpacaError(422, UNPROCESSABLE, "page_token: is not an id of an activity")
        return int(found[0].id)


class ActivitiesOfTypeView(ActivitiesView):
    """Account activities of one type."""

    @extend_schema(
        operation_id="alpacaListActivitiesOfType",
        parameters=[ActivitiesQuerySerializer],
        responses=schema.AlpacaActivitySerializer(many=True),
    )
    def get(self, request: Request, activity_type: str) -> Response:  # type: ignore[override]
        """The same of one type: FILL, CSD, CSW, TRANS for both of these, FEE, JNLC, JNLS; of others, none."""
        return self.answer(request, activity_type)
