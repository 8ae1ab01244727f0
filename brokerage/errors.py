"""Errors: one table from what went wrong in our terms to an HTTP status and a code, and one shape for all (RFC 9457).

{"type", "title", "status", "detail", "code", "errors": [{"field", "code", "detail"}]}
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from drf_standardized_errors.types import ErrorResponse
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.funding import BalanceTooLarge, InsufficientFunds, TransferKeyReused, WithdrawalsFrozen
from trades.cancel import NotCancellable
from trades.checks import (
    LineTooLong,
    Overloaded,
    PriceUnknown,
    TickerRestricted,
    TooManyOrders,
    TooManyShares,
    TooMuchMoney,
    TradingHalted,
)
from trades.place import TradeKeyReused, UnknownTicker
from trades.webhooks import AddressRefused, TooManyWebhooks

log = structlog.get_logger()

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 2

# What went wrong -> (status, code, what to say, the field at fault if it is one).
TABLE: dict[type[Exception], tuple[int, str, str, str | None]] = {
    UnknownTicker: (422, "unknown_ticker", "The exchange does not list this stock.", "stockTicker"),
    TradeKeyReused: (409, "idempotency_key_reused", "This key was used for a trade with other terms.", None),
    TradingHalted: (409, "trading_halted", "Trading is halted: of this stock, of this account, or of all.", None),
    TickerRestricted: (409, "ticker_restricted", "This stock may not be traded here.", "stockTicker"),
    TooManyShares: (422, "too_many_shares", "More shares than one order may have.", "quantity"),
    TooMuchMoney: (422, "notional_too_large", "At the last price it is worth more than one order may be.", "quantity"),
    PriceUnknown: (503, "price_unknown", "What the order is worth can't be told while no price is known.", None),
    TooManyOrders: (429, "too_many_orders", "More orders than may be placed in a minute.", None),
    LineTooLong: (429, "too_many_open_trades", "As many of your trades wait as may. Nothing was placed.", None),
    Overloaded: (503, "overloaded", "More trades wait than are taken in. Nothing was placed: try again.", None),
    AddressRefused: (422, "address_refused", "Events are posted to https:// on the Internet alone.", "url"),
    TooManyWebhooks: (409, "too_many_webhooks", "You have as many webhooks as you may.", None),
    NotCancellable: (409, "not_cancellable", "It was sent already, or is final.", None),
    TransferKeyReused: (409, "idempotency_key_reused", "This key was used for another transfer.", None),
    WithdrawalsFrozen: (403, "withdrawals_frozen", "Withdrawals from this account are frozen. Ask support.", None),
    InsufficientFunds: (409, "insufficient_funds", "More than what is available.", "amount"),
    BalanceTooLarge: (422, "balance_too_large", "The account can't hold that much cash.", "amount"),
    SuspiciousOperation: (400, "bad_request", "The request makes no sense.", None),
    RequestDataTooBig: (413, "too_large", "The body is too large.", None),
    # The database is away, too busy, or for now only to be read (PostgreSQL's class 25: a standby, a time limit).
    **dict.fromkeys(
        (OperationalError, InterfaceError, InternalError),
        (503, "unavailable", "Nothing is lost. Try again, with the same Idempotency-Key.", None),
    ),
}


def _row(exception: Exception) -> tuple[int, str, str, str | None] | None:
    return next((TABLE[kind] for kind in type(exception).__mro__ if kind in TABLE), None)


def problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """The body of a problem answer."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
    }


class _Refused(exceptions.APIException):
    """An error of ours, on its way through REST framework."""

    def __init__(self, status: int, code: str, detail: str, field: str | None) -> None:
        super().__init__(detail, code)
        self.status_code, self.field = status, field


class _Formatter(ExceptionFormatter):
    def format_error_response(self, error_response: ErrorResponse) -> dict[str, Any]:
        status = self.exc.status_code
        errors = [
            {"field": _shown(error.attr), "code": error.code, "detail": _shown(error.detail)}
            for error in error_response.errors
            if error.attr and error.attr != "non_field_errors"
        ]
        first = error_response.errors[0]
        if isinstance(self.exc, _Refused) and self.exc.field:
            errors = [{"field": self.exc.field, "code": first.code, "detail": str(first.detail)}]
        if isinstance(self.exc, exceptions.ValidationError):
            named = ", ".join(dict.fromkeys(error["field"] for error in errors))
            detail = f"See {named}: {errors[0]['detail']}" if named else _shown(first.detail)
            return problem(status, "invalid", detail, errors)
        return problem(status, first.code, _shown(first.detail), errors)


def _shown(text: str) -> str:
    """What may repeat a caller's words, as an answer can carry it: UTF-8, and not at any length."""
    return str(text)[:300].encode("utf-8", "replace").decode()


class _Handler(ExceptionHandler):
    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if row := _row(exc):
            return _Refused(*row)
        return super().convert_known_exceptions(exc)

    def format_exception(self, exc: exceptions.APIException) -> dict[str, Any]:
        return _Formatter(exc, self.context, self.exc).run()

    def report_exception(self, exc: exceptions.APIException, response: Response) -> None:
        if isinstance(self.exc, Overloaded):
            # A line for each would be a load of its own; /metrics tells.
            response._has_been_logged = True  # type: ignore[attr-defined]
        elif response.status_code >= 500:
            log.error("request failed", error=repr(self.exc), status=response.status_code)

    def run(self) -> Response | None:
        response = super().run()
        if response is not None:
            response.content_type = PROBLEM_JSON
            if response.status_code in (429, 503):
                response.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        return response


def problem_response(exc: Exception, context: Any) -> Response | None:
    """REST framework's EXCEPTION_HANDLER."""
    return _Handler(exc, context).run()


class Unavailable:
    """Middleware: what is in the table and nobody handled is answered as it says, on every page and endpoint.

    A database that does not answer is 503 with Retry-After; trading that is halted is no mistake of ours on a page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        row = _row(exception)
        if row is None or isinstance(exception, SuspiciousOperation):  # which Django notes by itself
            return None
        status, code, detail, _ = row
        if status >= 500:
            log.error("request failed", path=request.path, error=repr(exception))
        response = _answer(request, status, code, detail)
        if status in (429, 503):
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if isinstance(exception, RequestDataTooBig):
        return _answer(request, 413, "too_large", "The body is too large.")
    return _answer(request, 400, "bad_request", "The request makes no sense.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return _answer(request, 403, "forbidden", "You may not do this.")


def expired_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW."""
    return _answer(request, 403, "expired_form", "This page was open for too long. Go back, load it again, and retry.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return _answer(request, 404, "not_found", "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return _answer(request, 500, "error", "Something went wrong on our side. It has been noted.")


def _answer(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """A problem body for programs, a page for people."""
    if request.path.startswith("/alpaca/"):
        return JsonResponse({"code": status * 100_000 + 10_000, "message": detail}, status=status)
    if request.path.startswith(("/api/", "/exchange/")):
        return JsonResponse(problem(status, code, detail), status=status, content_type=PROBLEM_JSON)
    # Without the request, for what pages know of the visitor is in the database, which may be what is away.
    return HttpResponse(render_to_string("error.html", problem(status, code, detail)), status=status)
