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
from web.serializers import StrictSerializer, TextField
from web.timezones import EASTERN


@extend_schema_field({"type": "string", "description": "2026-11-23, or 2026-11-23T15:04:05Z."})
class DateOrTimeField(serializers.Field[Any, Any, Any, Any]):
    """A date, or a time that is converted to its date in Eastern time."""

    def to_internal_value(self, data: Any) -> date:
        try:
            day: date = serializers.DateField().to_internal_value(data)
        except serializers.ValidationError:
            moment: datetime = serializers.DateTimeField().to_internal_value(data)
            try:
                day = moment.astimezone(EASTERN).date()
            except OverflowError:
                raise serializers.ValidationError("out of range") from None
        if not date(1970, 1, 1) <= day <= date(2200, 1, 1):
            raise serializers.ValidationError("out of range")
        return day


class ActivitiesQuerySerializer(StrictSerializer):
    activity_types = TextField(
        required=False,
        max_length=200,
        help_text="FILL, CSD, CSW, FEE, JNLC, JNLS, DIV, SPLIT, CIL, SC, separated by commas.",
    )
    category = serializers.ChoiceField(["trade_activity", "non_trade_activity"], required=False)
    date = DateOrTimeField(required=False, help_text="A date in Eastern time, or a time on that date.")
    after = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    direction = serializers.ChoiceField(["asc", "desc"], default="desc")
    page_size = serializers.IntegerField(default=100, min_value=1, max_value=100)
    page_token = TextField(required=False, max_length=80, help_text="The last id of the previous page.")


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
        """List fills, deposits, withdrawals and adjustments, newest first by default."""
        return self.list_activities(request)

    def list_activities(self, request: Request, activity_type: str | None = None) -> Response:
        """Return the activities that match the query, of one type if it is given."""
        params = self.validated(ActivitiesQuerySerializer, request.query_params)
        # A trade has a posting of cash and one of shares. The one of shares is the fill.
        rows = accounts.postings_of(self.customer_id).exclude(kind__in=TRADE_KINDS, ticker=CASH)
        names = (
            [activity_type] if activity_type else [name for name in params.get("activity_types", "").split(",") if name]
        )
        if names:
            rows = rows.filter(reduce(or_, (ACTIVITIES.get(name.upper(), NONE) for name in names)))
        if category := params.get("category"):
            trade_kinds = {"kind__in": TRADE_KINDS}
            rows = rows.filter(**trade_kinds) if category == "trade_activity" else rows.exclude(**trade_kinds)
        if "after" in params:
            rows = rows.filter(created_at__gt=params["after"])
        if "until" in params:
            rows = rows.filter(created_at__lt=params["until"])
        if "date" in params:
            begins = datetime.combine(params["date"], time.min, EASTERN)
            rows = rows.filter(created_at__gte=begins, created_at__lt=begins + timedelta(days=1))
        is_descending = params["direction"] == "desc"
        if "page_token" in params:
            last = self._last_id(params["page_token"])
            rows = rows.filter(id__lt=last) if is_descending else rows.filter(id__gt=last)
        page = rows.order_by("-id" if is_descending else "id")[: params["page_size"]]
        return Response([alpaca.activity(posting) for posting in page])

    def _last_id(self, token: str) -> int:
        cause = parse_uuid(token.rpartition("::")[2])
        ids = [cause, alpaca.fee_activity_id(cause)] if cause else []
        matches = [
            row
            for row in accounts.postings_of(self.customer_id).filter(cause__in=ids)
            if alpaca.activity_uuid(row) == cause and (row.ticker != CASH or row.kind not in TRADE_KINDS)
        ]
        if not matches:
            raise AlpacaError(422, UNPROCESSABLE, "page_token: must be the id of an activity")
        return int(matches[0].id)


class ActivitiesOfTypeView(ActivitiesView):
    """Account activities of one type."""

    @extend_schema(
        operation_id="alpacaListActivitiesOfType",
        parameters=[ActivitiesQuerySerializer],
        responses=schema.AlpacaActivitySerializer(many=True),
    )
    def get(self, request: Request, activity_type: str) -> Response:  # type: ignore[override]
        """List activities of one type: FILL, CSD, CSW, TRANS (CSD and CSW), FEE, JNLC, JNLS, DIV, SPLIT, CIL or SC.

        The list is empty for any other type.
        """
        return self.list_activities(request, activity_type)
