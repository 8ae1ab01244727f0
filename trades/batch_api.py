"""The REST API for programs that place much: a batch of trades in one request, each answered for itself."""

from typing import Any, ClassVar

from django.core.validators import MaxLengthValidator, MinLengthValidator
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Token
from trades.api import PlaceTradeSerializer, TradeSerializer, shown
from trades.batch import BATCH_MAX, Outcome, place_trades
from trades.models import Trade
from web.drf import CustomerView, IdempotencyKeyField, StrictSerializer, shared
from web.problems import problem_body

TRADES_RULE = f"Must be a list of 1 to {BATCH_MAX} trades."


class BatchedTradeSerializer(PlaceTradeSerializer):
    """A trade to place, with the idempotency key that is its own."""

    idempotencyKey = IdempotencyKeyField(help_text="Of this trade alone, as the header Idempotency-Key.")


@extend_schema_field(BatchedTradeSerializer(many=True))
class TradesField(serializers.Field[Any, Any, Any, Any]):
    """The trades of a batch, as they were sent: each is validated for itself."""

    default_error_messages: ClassVar = {"invalid": TRADES_RULE}

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("invalid")
        return data


class PlaceTradesSerializer(StrictSerializer):
    trades = TradesField(
        validators=[MinLengthValidator(1, TRADES_RULE), MaxLengthValidator(BATCH_MAX, TRADES_RULE)],
        help_text=f"1 to {BATCH_MAX}, in the order in which to place them.",
    )


@extend_schema_field({"allOf": [{"$ref": "#/components/schemas/Problem"}]})
class ProblemField(serializers.JSONField):
    """A problem, as a request of its own would be answered with."""


class BatchResultSerializer(serializers.Serializer[Any]):
    status = serializers.IntegerField(help_text="Of the answer that `placeTrade` would have given.")
    trade = TradeSerializer(required=False, help_text="With 201, and with 200: its key had placed it before.")
    problem = ProblemField(required=False, help_text="With every other status: why it was not placed.")


class BatchSerializer(serializers.Serializer[Any]):
    results = BatchResultSerializer(many=True, help_text="One for each trade, in the order sent.")


class BatchView(CustomerView):
    """Many of a customer's trades at once."""

    scope = Token.Scope.TRADE

    @extend_schema(
        operation_id="placeTrades",
        request=PlaceTradesSerializer,
        responses={207: OpenApiResponse(BatchSerializer, "Each trade is answered as by `placeTrade`.")},
        tags=["trades"],
    )
    def post(self, request: Request) -> Response:
        """Place up to 100 market orders, in this order. One that is refused keeps no other from being placed.

        Every trade has an idempotency key of its own; if you receive no answer, send the same batch again. A batch
        counts against the rate limit as one request for each of its trades.
        """
        if "Idempotency-Key" in request.headers:
            raise serializers.ValidationError({"Idempotency-Key": "Every trade has its own: idempotencyKey."})
        asked = shared(PlaceTradesSerializer).run_validation(request.data)["trades"]
        self.count_as(len(asked))
        read = [self._read(trade) for trade in asked]
        placed = iter(place_trades(self.customer_id, [trade for trade in read if isinstance(trade, Trade)]))
        results = [_result(next(placed) if isinstance(trade, Trade) else trade) for trade in read]
        return Response({"results": results}, status=207)

    def _read(self, trade: Any) -> Trade | serializers.ValidationError:
        try:
            asked = shared(BatchedTradeSerializer).run_validation(trade)
        except serializers.ValidationError as error:
            return error
        return Trade(
            customer_id=self.customer_id,
            ticker=asked["stockTicker"],
            type=asked["type"],
            quantity=asked["quantity"],
            idempotency_key=asked.get("idempotencyKey"),
            when_closed=asked["whenClosed"],
        )


def _result(outcome: Outcome | serializers.ValidationError) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        problem = problem_body(outcome)
        return {"status": problem["status"], "problem": problem}
    trade, replayed = outcome
    return {"status": 200 if replayed else 201, "trade": shown(trade)}
