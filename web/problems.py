"""Problem details (RFC 9457): one shape for every error, and one table from our exceptions to HTTP statuses and codes.

The body is {"type", "title", "status", "detail", "code", "errors": [{"field", "code", "detail"}]}. `type` is the
address, relative to that of the request, where the code is explained. The table belongs to the project, which names it
in the setting `PROBLEMS`.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
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
# The style sheet under its plain name: where even that is missing, the words are still there.
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

log = structlog.get_logger()


class Problem(NamedTuple):
    """How an exception is answered. `is_logged`: False where a log line for each would be a load of its own.

    `says_more`: the exception's own text is for the caller, and is added to `detail`.
    """

    status: int
    code: str
    detail: str
    field: str | None = None
    is_logged: bool = True
    says_more: bool = False


@cache
def table() -> dict[type[Exception], Problem]:
    """Return the project's table of exceptions."""
    found: dict[type[Exception], Problem] = import_string(settings.PROBLEMS)
    return found


def problem_of(exception: Exception) -> Problem | None:
    """Return how an exception is answered, looked up by its class and then its base classes; None if it isn't known."""
    found = next((table()[kind] for kind in type(exception).__mro__ if kind in table()), None)
    return found._replace(detail=f"{found.detail} {exception}") if found and found.says_more else found


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


def shown(text: str) -> str:
    """Return text that may repeat a caller's words in a form that an answer can carry: valid UTF-8, and short."""
    return str(text)[:TEXT_LENGTH_MAX].encode("utf-8", "replace").decode()


class ProblemError(exceptions.APIException):
    """One of our own exceptions, on its way through Django REST framework."""

    def __init__(self, answer: Problem) -> None:
        super().__init__(answer.detail, answer.code)
        self.status_code, self.field, self.is_logged = answer.status, answer.field, answer.is_logged


class _Formatter(ExceptionFormatter):
    def format_error_response(self, error_response: ErrorResponse) -> dict[str, Any]:
        status = self.exc.status_code
        errors = [
            {"field": shown(error.attr), "code": error.code, "detail": shown(error.detail)}
            for error in error_response.errors
            if error.attr and error.attr != "non_field_errors"
        ]
        first = error_response.errors[0]
        if isinstance(self.exc, ProblemError) and self.exc.field:
            errors = [{"field": self.exc.field, "code": first.code, "detail": str(first.detail)}]
        if isinstance(self.exc, exceptions.ValidationError):
            named = ", ".join(dict.fromkeys(error["field"] for error in errors))
            detail = f"See {named}: {errors[0]['detail']}" if named else shown(first.detail)
            return problem(status, "invalid", detail, errors)
        return problem(status, first.code, shown(first.detail), errors)


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
    """Return the problem that a request would be answered with, for a part of a request that is answered for itself.

    Raises:
        Exception: It is neither Django REST framework's own nor in the table: then it is an error of ours.
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
    """Middleware: answer every exception of the table as the table says, on pages and endpoints alike."""

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
        return answer_with(request, answer.status, answer.code, answer.detail)


def answer_with(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """Answer with a problem in the form that the caller reads: JSON for programs, a page for people."""
    if request.path.startswith(ALPACA_PATHS):
        return JsonResponse({"code": status * 100_000 + 10_000, "message": detail}, status=status)
    if request.path.startswith(API_PATHS):
        return JsonResponse(problem(status, code, detail), status=status, content_type=PROBLEM_JSON)
    return HttpResponse(_page(request, problem(status, code, detail)), status=status)


def _page(request: HttpRequest, shown: dict[str, Any]) -> str:
    """Return the page of a problem. That of a 5xx needs nothing: what it needs may be what is wrong."""
    if shown["status"] < HTTPStatus.INTERNAL_SERVER_ERROR:
        with suppress(Exception):  # whatever the page lacks, the visitor is told what happened
            return render_to_string("error.html", shown, request)
    return BARE_PAGE.format(title=escape(shown["title"]), detail=escape(shown["detail"]))
