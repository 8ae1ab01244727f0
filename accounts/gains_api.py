"""The REST API of lots and gains."""

from functools import partial
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import gains
from accounts.gains_csv import gains_csv
from accounts.models import LotMethod
from accounts.queries import balance_of
from web import documents
from web.drf import CustomerView, PageQuery, page
from web.serializers import TextField, money_field, shown
from web.timezones import eastern_today


class LotSerializer(serializers.Serializer[Any]):
    lotId = serializers.UUIDField(source="id")
    stockTicker = serializers.CharField(source="ticker")
    causeId = serializers.UUIDField(source="cause", help_text="The trade or the adjustment that opened it.")
    acquiredOn = serializers.DateField(source="acquired_on", help_text="The trade date, Eastern.")
    quantity = serializers.IntegerField(help_text="Whole shares, when it was opened.")
    remaining = serializers.IntegerField(help_text="Whole shares that have not been sold.")
    cost = money_field(source="remaining_cost", help_text="The cost of the remaining shares, with fees, USD.")
    paidWithUntil = serializers.DateField(
        source="unpaid_until",
        allow_null=True,
        help_text="Null if it was bought with settled cash. Otherwise the date on which the last of the proceeds that "
        "paid for it settle: selling it earlier is a good-faith violation.",
    )


class LotPageSerializer(serializers.Serializer[Any]):
    method = serializers.ChoiceField(LotMethod.choices, help_text="The lots that your next sale closes first.")
    results = LotSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class LotQuerySerializer(PageQuery):
    stockTicker = TextField(required=False, max_length=12)


class GainSerializer(serializers.Serializer[Any]):
    stockTicker = serializers.CharField(source="ticker")
    tradeId = serializers.UUIDField(source="cause")
    acquiredOn = serializers.DateField(source="acquired_on")
    soldOn = serializers.DateField(source="closed_on")
    quantity = serializers.IntegerField(help_text="Whole shares.")
    proceeds = money_field(help_text="Net of fees, USD.")
    cost = money_field(help_text="With fees, USD.")
    gain = money_field(help_text="Negative for a loss, USD.")
    term = serializers.SerializerMethodField()
    washSale = serializers.BooleanField(
        source="is_wash_sale",
        help_text="Whether it is a loss on a stock that was also bought within 30 days. Nothing is adjusted.",
    )

    def get_term(self, closing: Any) -> str:
        return "long" if closing.is_long_term else "short"


class GainTotalsSerializer(serializers.Serializer[Any]):
    proceeds = money_field()
    cost = money_field()
    gain = money_field()


class GainPageSerializer(serializers.Serializer[Any]):
    year = serializers.IntegerField()
    shortTerm = GainTotalsSerializer()
    longTerm = GainTotalsSerializer()
    results = GainSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class GainQuerySerializer(PageQuery):
    year = serializers.IntegerField(
        required=False, min_value=gains.FIRST_YEAR, max_value=gains.LAST_YEAR, help_text="By default, this year."
    )
    format = serializers.ChoiceField(
        ["json", "csv"], default="json", help_text="With `csv`, you get the whole year as a file, in parts."
    )
    part = serializers.IntegerField(
        default=1,
        min_value=1,
        max_value=99_999,
        help_text="The part of the CSV file, of 20,000 rows each. After the last part, the answer is 404.",
    )


class LotsView(CustomerView):
    """A customer's lots."""

    @extend_schema(
        operation_id="listLots", parameters=[LotQuerySerializer], responses=LotPageSerializer, tags=["account"]
    )
    def get(self, request: Request) -> Response:
        """List the lots that you still hold shares of, newest first: what you bought, when, and for how much."""
        parameters = self.list_query(LotQuerySerializer)
        lots = gains.open_lots_of(self.customer_id, (parameters.get("stockTicker") or "").upper() or None)
        found = page(lots, "id", parameters, partial(shown, LotSerializer))
        return Response({"method": balance_of(self.customer_id).lot_method} | found)


class GainsView(CustomerView):
    """A customer's realized gains."""

    @extend_schema(
        operation_id="listGains",
        parameters=[GainQuerySerializer],
        responses={(200, "application/json"): GainPageSerializer, (200, "text/csv"): OpenApiTypes.STR},
        tags=["account"],
    )
    def get(self, request: Request) -> Response | HttpResponse:
        """List the gains and losses of a year's sales, newest first, with totals by term."""
        parameters = self.list_query(GainQuerySerializer)
        year = parameters.get("year") or eastern_today().year
        sold = gains.gains_of(self.customer_id, year)
        if parameters["format"] == "csv":
            with documents.turn(self.customer_id):
                return gains_csv(self.customer_id, year, parameters["part"])
        totals = gains.totals_of(sold)
        return Response(
            {
                "year": year,
                "shortTerm": shown(GainTotalsSerializer, totals[False]),
                "longTerm": shown(GainTotalsSerializer, totals[True]),
            }
            | page(sold, "id", parameters, partial(shown, GainSerializer))
        )
