"""Positions: list and close."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from accounts.models import Position, Token
from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.day import day_of
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView
from alpaca_api.fields import NumberField, whole_shares
from alpaca_api.market import ticker_of
from alpaca_api.orders import cancel_all, submit_order
from exchange.models import Stock
from trades.models import Type
from web.serializers import StrictSerializer


class ClosePositionQuerySerializer(StrictSerializer):
    qty = NumberField(required=False, help_text="Whole shares.")
    percentage = NumberField(required=False, help_text="Above 0, up to 100; it must result in whole shares.")


class ClosePositionsQuerySerializer(StrictSerializer):
    cancel_orders = serializers.BooleanField(required=False)


class PositionsView(AlpacaView):
    """A customer's positions."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaListPositions", responses=schema.AlpacaPositionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List your positions."""
        return Response(_positions(list(accounts.positions_of(self.customer_id))))

    @extend_schema(
        operation_id="alpacaClosePositions",
        parameters=[ClosePositionsQuerySerializer],
        responses={207: schema.AlpacaClosedPositionSerializer(many=True)},
    )
    def delete(self, request: Request) -> Response:
        """Close all positions: place a sell order for each."""
        params = self.validated(ClosePositionsQuerySerializer, request.query_params)
        positions = list(accounts.positions_of(self.customer_id))
        self.count_as(len(positions))
        if params.get("cancel_orders"):
            cancel_all(self)
        outcomes = []
        for row in positions:
            try:
                shares = whole_shares(Decimal(row.quantity), "qty")
                placed = submit_order(self.customer_id, row.ticker, Type.SELL, shares)
                outcomes.append({"symbol": row.ticker, "status": 200, "body": alpaca.order(placed)})
            except Exception as error:  # noqa: BLE001 — an error of one position must not prevent the others
                answer = self.get_exception_handler()(error, {})
                outcomes.append({"symbol": row.ticker, "status": answer.status_code, "body": answer.data})
        return Response(outcomes, status=207)


class PositionView(AlpacaView):
    """A customer's position in one stock."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaGetPosition", responses=schema.AlpacaPositionSerializer)
    def get(self, request: Request, symbol: str) -> Response:
        """Get a position by its symbol or asset id."""
        return Response(_positions([self._position(symbol)])[0])

    @extend_schema(
        operation_id="alpacaClosePosition",
        parameters=[ClosePositionQuerySerializer],
        responses={200: schema.AlpacaOrderSerializer},
    )
    def delete(self, request: Request, symbol: str) -> Response:
        """Close a position: place an order that sells all of it, a number of shares, or a percentage."""
        params = self.validated(ClosePositionQuerySerializer, request.query_params)
        row = self._position(symbol)
        if "qty" in params and "percentage" in params:
            raise AlpacaError(422, UNPROCESSABLE, "send qty or percentage, not both")
        if "percentage" in params:
            shares = _percentage_of(row.quantity, params["percentage"])
        else:
            shares = whole_shares(params.get("qty", Decimal(row.quantity)), "qty")
        return Response(alpaca.order(submit_order(self.customer_id, row.ticker, Type.SELL, shares)))

    def _position(self, symbol: str) -> Position:
        ticker = ticker_of(symbol)
        row = ticker and accounts.positions_of(self.customer_id).filter(ticker=ticker).first()
        if not row:
            raise AlpacaError(404, 40410000, "position does not exist")
        return row


def _percentage_of(quantity: int, percentage: Decimal) -> int:
    """Return a percentage of the shares.

    Raises:
        AlpacaError: The percentage is out of range, or the result is not a whole number of shares.
    """
    if not 0 < percentage <= 100:
        raise AlpacaError(422, UNPROCESSABLE, "percentage: must be above 0, up to 100")
    shares = quantity * percentage / 100
    if shares != shares.to_integral_value():
        message = f"percentage: {percentage:f} of {quantity} shares is {shares:f}; only whole shares can be sold"
        raise AlpacaError(422, UNPROCESSABLE, message)
    return whole_shares(shares, "percentage")


def _positions(rows: list[Position]) -> list[dict[str, Any]]:
    if not rows:
        return []
    day = day_of(rows[0].customer_id, rows)
    markets = dict(Stock.objects.filter(ticker__in=[row.ticker for row in rows]).values_list("ticker", "market"))
    return [alpaca.position(row, day, markets.get(row.ticker, "")) for row in rows]
