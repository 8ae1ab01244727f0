"""The REST API of fees."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from trades.fees import schedule
from trades.models import FeeRate
from trades.models.fee import RATE
from web.drf import CustomerView
from web.serializers import money_field, shown

FeeRateSerializer: Any = type(  # `from` is a Python keyword, so a class body can't declare it
    "FeeRateSerializer",
    (serializers.Serializer,),
    {
        "kind": serializers.ChoiceField(FeeRate.Kind.choices),
        "name": serializers.CharField(source="get_kind_display"),
        "from": serializers.DateField(source="first_day", help_text="The first trade date, Eastern."),
        "until": serializers.DateField(
            source="last_day", allow_null=True, help_text="The last trade date, Eastern; null: open-ended."
        ),
        "perUsd": serializers.DecimalField(**RATE, source="per_usd", help_text="USD per USD of the amount."),
        "perShare": serializers.DecimalField(**RATE, source="per_share", help_text="USD per share."),
        "maximum": money_field(allow_null=True, help_text="USD per trade."),
        "onPurchases": serializers.BooleanField(
            source="is_for_purchases", help_text="Whether purchases pay it too. Sales pay every fee."
        ),
        "source": serializers.CharField(help_text="The notice that set the rate."),
    },
)


class FeeScheduleSerializer(serializers.Serializer[Any]):
    results = FeeRateSerializer(many=True)


class FeesView(CustomerView):
    """The schedule of fees."""

    @extend_schema(operation_id="listFees", responses=FeeScheduleSerializer, tags=["account"])
    def get(self, request: Request) -> Response:
        """List the rates of regulatory fees by trade date, newest entry first. If two of a kind cover the same day, the
        newer one is in force."""
        return Response(shown(FeeScheduleSerializer, {"results": schedule()}))
