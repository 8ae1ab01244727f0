"""Base classes of the endpoints: authentication, JSON bodies with exact decimals, and errors in Alpaca's format."""

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
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
from web.drf import CustomerView, JsonParser, refuse_constant
from web.problems import UNAVAILABLE
from web.serializers import validated

log = structlog.get_logger()

UNPROCESSABLE = 40010001  # Alpaca's error code for a request that is well-formed but not valid
WHOLE_NUMBER_DIGITS_MAX = 100

# Exception: (HTTP status, error code, message)
TABLE: dict[type[Exception], tuple[int, int, str]] = {
    UnknownTicker: (422, UNPROCESSABLE, "asset not found"),
    TradeKeyReused: (422, UNPROCESSABLE, "client_order_id must be unique"),
    NotCancellable: (422, 42210000, "order is not cancelable"),
    checks.TradingHalted: (403, 40310000, "trading is halted (trading_halted)"),
    checks.TickerRestricted: (403, 40310000, "this asset may not be traded here (ticker_restricted)"),
    checks.TooManyShares: (403, 40310000, "quantity is above the limit for one order (too_many_shares)"),
    checks.TooMuchMoney: (403, 40310000, "order value is above the limit (notional_too_large)"),
    checks.TooManyOrders: (429, 42910000, "too many orders in the last minute (too_many_orders)"),
    checks.LineTooLong: (429, 42910000, "too many orders are open (too_many_open_trades)"),
    checks.Overloaded: (503, 50310000, "too many orders are waiting; try again (overloaded)"),
    checks.PriceUnknown: (503, 50310000, "no price is available to check the order's value (price_unknown)"),
    watchlists.WatchlistNameTaken: (422, UNPROCESSABLE, "watchlist name must be unique"),
    watchlists.WatchlistFull: (422, UNPROCESSABLE, f"symbols: at most {watchlists.TICKERS_MAX}"),
    watchlists.TooManyWatchlists: (422, UNPROCESSABLE, f"at most {watchlists.WATCHLISTS_MAX} watchlists"),
    RequestDataTooBig: (413, 41310000, "the body is too large"),
    SuspiciousOperation: (400, 40010000, "the request could not be understood"),
    **dict.fromkeys(UNAVAILABLE, (503, 50310000, "temporarily unavailable; try again with the same client_order_id")),
}


class AlpacaError(Exception):
    """An error response in Alpaca's format."""

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message, **more}


class KeyPair(OpenApiAuthenticationExtension):
    """Describe the pair of headers in the OpenAPI schema."""

    target_class = "web.authentication.KeyPairAuthentication"
    name = ["keyId", "secretKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "apiKey", "in": "header", "name": "APCA-API-KEY-ID"},
            {"type": "apiKey", "in": "header", "name": "APCA-API-SECRET-KEY"},
        ]


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def _whole_number(text: str) -> int | Decimal:
    return int(text) if len(text) <= WHOLE_NUMBER_DIGITS_MAX else Decimal("Infinity")


class DecimalJsonParser(JsonParser):
    """Parse JSON numbers exactly, because the client sends a quantity of three as 3.0.

    A number that no Decimal can hold becomes infinity, which its field then rejects as out of range.
    """

    decoder = json.JSONDecoder(parse_constant=refuse_constant, parse_float=_number, parse_int=_whole_number)


class AlpacaView(CustomerView):
    """Base class of the endpoints for clients of Alpaca's API."""

    parser_classes = (DecimalJsonParser,)
    authentication_classes = (KeyPairAuthentication, TokenAuthentication)

    def get_exception_handler(self) -> Callable[..., Response]:
        return _answer_error

    def validated(self, serializer: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
        """Return the validated data of a query or a body.

        Raises:
            ValidationError: It is not valid.
        """
        return validated(serializer, data.dict() if hasattr(data, "dict") else data)


def _answer_error(exc: Exception, context: Any) -> Response:
    """Return the response to an exception: {"code", "message"}."""
    headers = {}
    row = next((TABLE[kind] for kind in type(exc).__mro__ if kind in TABLE), None)
    if isinstance(exc, AlpacaError):
        status, body = exc.status, exc.body
    elif row:
        status, body = row[0], {"code": row[1], "message": row[2]}
    elif isinstance(exc, exceptions.ValidationError):
        status, body = 422, {"code": UNPROCESSABLE, "message": _first_error(exc.detail)}
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


def _first_error(detail: Any, name: str = "") -> str:
    """Return the first error of a validation, with the path of its field."""
    if isinstance(detail, dict):
        key, value = next(iter(detail.items()))
        field = "" if key == "non_field_errors" else str(key)[:60]
        return _first_error(value, f"{name}.{field}" if name and field else field or name)
    if isinstance(detail, list):
        return _first_error(next((part for part in detail if part), ""), name)
    return (f"{name}: {detail}" if name else str(detail))[:300]
