"""The REST API for placing a batch of trades in one request, with a result for each trade."""

from typing import Any, ClassVar

from django.core.validators import MaxLengthValidator, MinLengthValidator
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Token
from trades.api import PlaceTradeSerializer, TradeSerializer, trade_data
from trades.batch import BATCH_MAX, Outcome, place_trades
from trades.models import Trade
from web.drf import CustomerView, IdempotencyKeyField
from web.problems import problem_body
from web.serializers import StrictSerializer, validated

TRADES_RULE = f"Must be a list of 1 to {BATCH_MAX} trades."


class BatchedTradeSerializer(PlaceTradeSerializer):
    """A trade to place, with its own idempotency key."""

    idempotencyKey = IdempotencyKeyField(help_text="The key of this trade, as in the header Idempotency-Key.")


@extend_schema_field(BatchedTradeSerializer(many=True))
class TradesField(serializers.Field[Any, Any, Any, Any]):
    """The trades of a batch as they were sent. Each is validated later, on its own."""

    default_error_messages: ClassVar = {"invalid": TRADES_RULE}

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("invalid")
        return data


class PlaceTradesSerializer(StrictSerializer):
    trades = TradesField(
        validators=[MinLengthValidator(1, TRADES_RULE), MaxLengthValidator(BATCH_MAX, TRADES_RULE)],
        help_text=f"1 to {BATCH_MAX} trades, in the order in which to place them.",
    )


@extend_schema_field({"allOf": [{"$ref": "#/components/schemas/Problem"}]})
class ProblemField(serializers.JSONField):
    """The problem that a single request would have been answered with."""


class BatchResultSerializer(serializers.Serializer[Any]):
    status = serializers.IntegerField(help_text="The status with which `placeTrade` would have answered.")
    trade = TradeSerializer(required=False, help_text="With 201, and with 200 if its key had been used before.")
    problem = ProblemField(required=False, help_text="With any other status: why the trade was not placed.")


class BatchSerializer(serializers.Serializer[Any]):
    results = BatchResultSerializer(many=True, help_text="One for each trade, in the order sent.")


class BatchView(CustomerView):
    """Batches of a customer's trades."""

    scope = Token.Scope.TRADE

    @extend_schema(
        operation_id="placeTrades",
        request=PlaceTradesSerializer,
        responses={207: OpenApiResponse(BatchSerializer, "One result for each trade, as from `placeTrade`.")},
        tags=["trades"],
    )
    def post(self, request: Request) -> Response:
        """Place up to 100 market orders in the order given. If one is refused, the others are still placed.

        Give each trade its own idempotency key. If you receive no answer, send the same batch again. A batch counts
        against the rate limit as one request for each of its trades.
        """
        if "Idempotency-Key" in request.headers:
            raise serializers.ValidationError(
                {"Idempotency-Key": "Not for a batch: give each trade its own idempotencyKey."}
            )
        data = validated(PlaceTradesSerializer, request.data)["trades"]
        self.count_as(len(data))
        read = [self._read(trade) for trade in data]
        placed = iter(place_trades(self.customer_id, [trade for trade in read if isinstance(trade, Trade)]))
        results = [_result(next(placed) if isinstance(trade, Trade) else trade) for trade in read]
        return Response({"results": results}, status=207)

    def _read(self, trade: Any) -> Trade | serializers.ValidationError:
        try:
            data = validated(BatchedTradeSerializer, trade)
        except serializers.ValidationError as error:
            return error
        return Trade(
            customer_id=self.customer_id,
            ticker=data["stockTicker"],
            type=data["type"],
            quantity=data["quantity"],
            idempotency_key=data.get("idempotencyKey"),
            when_closed=data["whenClosed"],
        )


def _result(outcome: Outcome | serializers.ValidationError) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        problem = problem_body(outcome)
        return {"status": problem["status"], "problem": problem}
    trade, replayed = outcome
    return {"status": 200 if replayed else 201, "trade": trade_data(trade)}
