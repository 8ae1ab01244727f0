"""Problem details (RFC 9457): one format for all errors, and one table that maps our exceptions to statuses and codes.

The body is {"type", "title", "status", "detail", "code", "errors": [{"field", "code", "detail"}]}. `type` is the
relative URL of the page that explains the code. The setting `PROBLEMS` names the table.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.module_loading import import_string
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from drf_standardized_errors.types import ErrorResponse
from rest_framework import exceptions
from rest_framework.response import Response

PROBLEM_JSON = "application/problem+json"
REFERENCE = "/api/errors/"  # the page that explains every code
# It names the style sheet without a hash: the text can be read even if the style sheet is missing.
BARE_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{title} · Brokerage</title>
    <link rel="stylesheet" href="/static/brokerage.css">
  </head>
  <body>
    <header class="top"><div class="wide bar"><a class="brand" href="/"><span>Brokerage</span></a></div></header>
    <main class="narrow">
      <div class="card empty">
        <h1>{title}</h1>
        <p>{detail}</p>
        <p>Your cash, your shares and your trades are safe.</p>
        <p><a class="button" href="">Try again</a> <a class="button quiet" href="/">Go home</a></p>
      </div>
    </main>
  </body>
</html>
"""
API_PATHS = ("/api/", "/exchange/")
ALPACA_PATHS = ("/alpaca/",)
TEXT_LENGTH_MAX = 300
# The database is down, too busy, or read-only for now (PostgreSQL's class 25: a standby, a time limit).
UNAVAILABLE = (OperationalError, InterfaceError, InternalError, TimeoutError)

log = structlog.get_logger()


class Problem(NamedTuple):
    """The answer to an exception.

    Attributes:
        is_logged: Whether to log it; false for problems so frequent that logging them would be a load in itself.
        includes_message: Whether to append the exception's own message to `detail`.
    """

    status: int
    code: str
    detail: str
    field: str | None = None
    is_logged: bool = True
    includes_message: bool = False


@cache
def table() -> dict[type[Exception], Problem]:
    """Return the table that the setting `PROBLEMS` names."""
    found: dict[type[Exception], Problem] = import_string(settings.PROBLEMS)
    return found


def problem_of(exception: Exception) -> Problem | None:
    """Return the problem for an exception, found by its class or its nearest base class; None if there is none."""
    found = next((table()[kind] for kind in type(exception).__mro__ if kind in table()), None)
    return found._replace(detail=f"{found.detail} {exception}") if found and found.includes_message else found


def problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """Return the body of a problem answer."""
    return {
        "type": f"{REFERENCE}#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
    }


def safe_text(text: str) -> str:
    """Make text that may quote the caller's input safe for an answer: valid UTF-8, and short."""
    return str(text)[:TEXT_LENGTH_MAX].encode("utf-8", "replace").decode()


class ProblemError(exceptions.APIException):
    """Wraps one of our own exceptions for Django REST framework."""

    def __init__(self, answer: Problem) -> None:
        super().__init__(answer.detail, answer.code)
        self.status_code, self.field, self.is_logged = answer.status, answer.field, answer.is_logged


class _Formatter(ExceptionFormatter):
    def format_error_response(self, error_response: ErrorResponse) -> dict[str, Any]:
        status = self.exc.status_code
        errors = [
            {"field": safe_text(error.attr), "code": error.code, "detail": safe_text(error.detail)}
            for error in error_response.errors
            if error.attr and error.attr != "non_field_errors"
        ]
        first = error_response.errors[0]
        if isinstance(self.exc, ProblemError) and self.exc.field:
            errors = [{"field": self.exc.field, "code": first.code, "detail": str(first.detail)}]
        if isinstance(self.exc, exceptions.ValidationError):
            named = ", ".join(dict.fromkeys(error["field"] for error in errors))
            detail = f"See {named}: {errors[0]['detail']}" if named else safe_text(first.detail)
            return problem(status, "invalid", detail, errors)
        return problem(status, first.code, safe_text(first.detail), errors)


class _Handler(ExceptionHandler):
    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if answer := problem_of(exc):
            return ProblemError(answer)
        return super().convert_known_exceptions(exc)

    def format_exception(self, exc: exceptions.APIException) -> dict[str, Any]:
        return _Formatter(exc, self.context, self.exc).run()

    def report_exception(self, exc: exceptions.APIException, response: Response) -> None:
        if isinstance(exc, ProblemError) and not exc.is_logged:
            response._has_been_logged = True  # type: ignore[attr-defined]
        elif response.status_code >= 500:
            log.error("request failed", error=repr(self.exc), status=response.status_code)

    def run(self) -> Response | None:
        response = super().run()
        if response is not None:
            response.content_type = PROBLEM_JSON
        return response


def problem_body(exception: Exception) -> dict[str, Any]:
    """Return the problem details for an exception, for an item of a batch that gets its own answer.

    Raises:
        Exception: The exception itself, if neither Django REST framework nor the table knows it: it is a bug.
    """
    handler = _Handler(exception, {})  # type: ignore[typeddict-item]
    known = handler.convert_known_exceptions(exception)
    if not isinstance(known, exceptions.APIException):
        raise exception
    return handler.format_exception(known)


def handle_exception(exc: Exception, context: Any) -> Response | None:
    """Django REST framework's EXCEPTION_HANDLER."""
    return _Handler(exc, context).run()


class Problems:
    """Middleware: answer the exceptions in the table with their problem, on pages and endpoints alike."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        answer = problem_of(exception)
        if answer is None or isinstance(exception, SuspiciousOperation):  # Django handles and logs that one itself
            return None
        if answer.status >= 500 and answer.is_logged:
            log.error("request failed", path=request.path, error=repr(exception))
        return problem_response(request, answer.status, answer.code, answer.detail)


def problem_response(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """Return a problem as the client expects it: JSON for programs, a page for people."""
    if request.path.startswith(ALPACA_PATHS):
        return JsonResponse({"code": status * 100_000 + 10_000, "message": detail}, status=status)
    if request.path.startswith(API_PATHS):
        return JsonResponse(problem(status, code, detail), status=status, content_type=PROBLEM_JSON)
    return HttpResponse(_page(request, problem(status, code, detail)), status=status)


def _page(request: HttpRequest, body: dict[str, Any]) -> str:
    """Render a problem as a page. The page of a 5xx depends on nothing else, because anything may be broken."""
    if body["status"] < HTTPStatus.INTERNAL_SERVER_ERROR:
        with suppress(Exception):  # if the page can't be rendered, the bare one still says what happened
            return render_to_string("error.html", body, request)
    return BARE_PAGE.format(title=escape(body["title"]), detail=escape(body["detail"]))
