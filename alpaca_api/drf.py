"""What the endpoints share: who calls, bodies with exact decimals, and errors in the client's shape."""

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from accounts import watchlists
from trades import checks
from trades.cancel import NotCancellable
from trades.checks import UnknownTicker
from trades.place import TradeKeyReused
from web.authentication import KeyPairAuthentication, TokenAuthentication
from web.drf import CustomerView, JsonParser

log = structlog.get_logger()

UNPROCESSABLE = 40010001  # the code that clients know for an order that is not taken
WHOLE_NUMBER_DIGITS_MAX = 100

# What went wrong -> (status, code, what to say)
TABLE: dict[type[Exception], tuple[int, int, str]] = {
    UnknownTicker: (422, UNPROCESSABLE, "asset not found"),
    TradeKeyReused: (422, UNPROCESSABLE, "client_order_id must be unique"),
    NotCancellable: (422, 42210000, "order is not cancelable"),
    checks.TradingHalted: (403, 40310000, "trading is halted (trading_halted)"),
    checks.TickerRestricted: (403, 40310000, "this asset may not be traded here (ticker_restricted)"),
    checks.TooManyShares: (403, 40310000, "more shares than one order may have (too_many_shares)"),
    checks.TooMuchMoney: (403, 40310000, "order value is above the limit (notional_too_large)"),
    checks.TooManyOrders: (429, 42910000, "more orders than may be placed in a minute (too_many_orders)"),
    checks.LineTooLong: (429, 42910000, "too many orders are open (too_many_open_trades)"),
    checks.Overloaded: (503, 50310000, "too many orders wait; try again (overloaded)"),
    checks.PriceUnknown: (503, 50310000, "no price is known to check the order's value with (price_unknown)"),
    watchlists.WatchlistNameTaken: (422, UNPROCESSABLE, "watchlist name must be unique"),
    watchlists.WatchlistFull: (422, UNPROCESSABLE, f"symbols: {watchlists.TICKERS_MAX} at most"),
    watchlists.TooManyWatchlists: (422, UNPROCESSABLE, f"{watchlists.WATCHLISTS_MAX} watchlists at most"),
    RequestDataTooBig: (413, 41310000, "the body is too large"),
    **dict.fromkeys(
        (OperationalError, InterfaceError, InternalError),
        (503, 50310000, "unavailable; nothing is lost, try again with the same client_order_id"),
    ),
}


class AlpacaError(Exception):
    """An answer that is not a success, in the client's shape."""

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message, **more}


class KeyPair(OpenApiAuthenticationExtension):
    """How the OpenAPI schema names the pair of headers."""

    target_class = "web.authentication.KeyPairAuthentication"
    name = ["keyId", "secretKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "apiKey", "in": "header", "name": "APCA-API-KEY-ID"},
            {"type": "apiKey", "in": "header", "name": "APCA-API-SECRET-KEY"},
        ]


class DecimalJsonParser(JsonParser):
    """JSON whose numbers are exact: the client sends a quantity of three as 3.0.

    A number that no Decimal can hold is read as infinity: its field refuses it, as it does any number out of range.
    """

    def decode(self, body: str) -> Any:
        return json.loads(body, parse_constant=self._refuse, parse_float=_number, parse_int=_whole_number)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def _whole_number(text: str) -> int | Decimal:
    return int(text) if len(text) <= WHOLE_NUMBER_DIGITS_MAX else Decimal("Infinity")


class AlpacaView(CustomerView):
    """An endpoint for a client of Alpaca's API."""

    parser_classes = (DecimalJsonParser,)
    authentication_classes = (KeyPairAuthentication, TokenAuthentication)

    def get_exception_handler(self) -> Callable[..., Response]:
        return _answer_error

    def asked(self, serializer: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
        """What a query or a body asks for. Raises ValidationError."""
        given = serializer(data=data.dict() if hasattr(data, "dict") else data)
        given.is_valid(raise_exception=True)
        asked: dict[str, Any] = given.validated_data
        return asked


class FlagField(serializers.BooleanField):
    """True or False as the client spells it."""


def _answer_error(exc: Exception, context: Any) -> Response:
    """{"code", "message"} for whatever went wrong."""
    headers = {}
    row = next((TABLE[kind] for kind in type(exc).__mro__ if kind in TABLE), None)
    if isinstance(exc, AlpacaError):
        status, body = exc.status, exc.body
    elif row:
        status, body = row[0], {"code": row[1], "message": row[2]}
    elif isinstance(exc, exceptions.ValidationError):
        status, body = 422, {"code": UNPROCESSABLE, "message": _first(exc.detail)}
    elif isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        status, body = 401, {"code": 40110000, "message": "request is not authorized"}
        headers["WWW-Authenticate"] = 'Bearer realm="api"'
    elif isinstance(exc, exceptions.PermissionDenied):
        status, body = 403, {"code": 40310000, "message": f"forbidden: {exc.detail}"}
    elif isinstance(exc, exceptions.APIException):
        status = exc.status_code
        body = {"code": status * 100_000 + 10_000, "message": str(exc.detail)[:300]}
        if wait := getattr(exc, "wait", None):
            headers["Retry-After"] = str(int(wait))
    elif isinstance(exc, Http404):
        status, body = 404, {"code": 40410000, "message": "not found"}
    else:
        log.exception("request failed", error=repr(exc))
        status, body = 500, {"code": 50010000, "message": "internal server error occurred"}
    body["message"] = body["message"].encode("utf-8", "replace").decode()
    return Response(body, status=status, headers=headers)


def _first(detail: Any, name: str = "") -> str:
    """The first thing that is wrong, with the field's name."""
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        shown = "" if key == "non_field_errors" else str(key)[:60]
        return _first(value, f"{name}.{shown}" if name and shown else shown or name)
    if isinstance(detail, list):
        return _first(next((part for part in detail if part), ""), name)
    return (f"{name}: {detail}" if name else str(detail))[:300]
