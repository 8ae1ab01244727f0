"""Positions: list and close."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import queries as accounts
from accounts.models import Position, Token
from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.day import day_of
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView, FlagField
from alpaca_api.fields import NumberField, whole_shares
from alpaca_api.market import ticker_of
from alpaca_api.orders import cancel_all, submit_order
from exchange.models import Stock
from trades.models import Type
from web.drf import StrictSerializer


class ClosePositionQuerySerializer(StrictSerializer):
    qty = NumberField(required=False, help_text="Whole shares.")
    percentage = NumberField(required=False, help_text="Above 0, up to 100; it has to make whole shares.")


class ClosePositionsQuerySerializer(StrictSerializer):
    cancel_orders = FlagField(required=False)


class PositionsView(AlpacaView):
    """What a customer holds."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaListPositions", responses=schema.AlpacaPositionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The stocks held."""
        return Response(_positions(list(accounts.positions_of(self.customer_id))))

    @extend_schema(
        operation_id="alpacaClosePositions",
        parameters=[ClosePositionsQuerySerializer],
        responses={207: schema.AlpacaClosedPositionSerializer(many=True)},
    )
    def delete(self, request: Request) -> Response:
        """Place an order for each stock held that sells all of it."""
        if self.asked(ClosePositionsQuerySerializer, request.query_params).get("cancel_orders"):
            cancel_all(self.customer_id)
        outcomes = []
        for row in accounts.positions_of(self.customer_id):
            try:
                shares = whole_shares(Decimal(row.quantity), "qty")
                placed = submit_order(self.customer_id, row.ticker, Type.SELL, shares)
                outcomes.append({"symbol": row.ticker, "status": 200, "body": alpaca.order(placed)})
            except Exception as error:  # noqa: BLE001 — one that can't be sold does not keep the others
                answer = self.get_exception_handler()(error, {})
                outcomes.append({"symbol": row.ticker, "status": answer.status_code, "body": answer.data})
        return Response(outcomes, status=207)


class PositionView(AlpacaView):
    """What a customer holds of one stock."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaGetPosition", responses=schema.AlpacaPositionSerializer)
    def get(self, request: Request, symbol: str) -> Response:
        """One stock held, by its symbol or its asset's id."""
        return Response(_positions([self._position(symbol)])[0])

    @extend_schema(
        operation_id="alpacaClosePosition",
        parameters=[ClosePositionQuerySerializer],
        responses={200: schema.AlpacaOrderSerializer},
    )
    def delete(self, request: Request, symbol: str) -> Response:
        """Place an order that sells all of it, or so many shares, or such a part."""
        asked = self.asked(ClosePositionQuerySerializer, request.query_params)
        row = self._position(symbol)
        if "qty" in asked and "percentage" in asked:
            raise AlpacaError(422, UNPROCESSABLE, "give qty or percentage, not both")
        if "percentage" in asked:
            shares = _part_of(row.quantity, asked["percentage"])
        else:
            shares = whole_shares(asked.get("qty", Decimal(row.quantity)), "qty")
        return Response(alpaca.order(submit_order(self.customer_id, row.ticker, Type.SELL, shares)))

    def _position(self, symbol: str) -> Position:
        ticker = ticker_of(symbol)
        row = ticker and accounts.positions_of(self.customer_id).filter(ticker=ticker).first()
        if not row:
            raise AlpacaError(404, 40410000, "position does not exist")
        return row


def _part_of(quantity: int, percentage: Decimal) -> int:
    """Return so many percent of the shares.

    Raises:
        AlpacaError: That is no part of them, or no whole number of shares.
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
    day = day_of(rows[0].customer_id)
    markets = dict(Stock.objects.filter(ticker__in=[row.ticker for row in rows]).values_list("ticker", "market"))
    return [alpaca.position(row, day, markets.get(row.ticker, "")) for row in rows]
