"""Headers: reading those of a request, and the default ones of every response."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware
from django.utils.module_loading import import_string
from rest_framework.request import Request

RETRY_AFTER_SECONDS = 2
RETRYABLE_STATUSES = (429, 503)  # their responses always carry Retry-After
REMEMBERED_MAX = 100  # kinds of requests; ALLOWED_HOSTS may allow any number of host names
EMPTY = 204


def header(request: HttpRequest | Request, name: str) -> str | None:
    """Return a header of a request, or None.

    `request.headers` would first parse all headers and the process's environment, a twentieth of what a placing costs.
    """
    value: str | None = request.META.get("HTTP_" + name.upper().replace("-", "_"))
    return value


class Kind(NamedTuple):
    """A kind of request. All requests of one kind get the same headers."""

    host: str | None
    is_secure: bool
    paths: str | None


class DefaultHeaders:
    """Middleware: forbid caching, and add Retry-After to responses that a client should retry."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response with the missing headers added."""
        response = self._get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        _add_retry_after(response)
        return response


class RememberedHeaders:
    """Middleware: give responses to programs the headers that the middleware in REMEMBERED_MIDDLEWARE would set.

    That middleware checks the host name and sets the same headers for all requests of one kind: of one host name, one
    scheme and one group of paths. Calling it for each request took a twentieth of what a placing costs. So it is called
    once for each kind, with an empty response, and its headers are remembered.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._security = SecurityMiddleware(_empty_response)
        ask: Any = _empty_response
        for name in reversed(settings.REMEMBERED_MIDDLEWARE):
            ask = convert_exception_to_response(import_string(name)(ask))
        self._ask: Callable[[HttpRequest], HttpResponse] = ask
        self._remembered: dict[Kind, dict[str, str]] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response with the missing headers added."""
        if self._security.process_request(request) is not None:
            return self._ask(request)  # redirects to https
        paths = next((prefix for prefix in settings.PROGRAM_PATHS if request.path_info.startswith(prefix)), None)
        kind = Kind(header(request, "Host"), request.is_secure(), paths)
        headers = self._remembered.get(kind)
        if headers is None:
            asked = self._ask(request)
            if asked.status_code != EMPTY:
                return asked
            headers = self._remember(kind, asked)
        response = self._get_response(request)
        present = {name.lower() for name in response.headers}  # asking for each costs an exception if it is missing
        for name, value in headers.items():
            if name.lower() not in present:
                response.headers[name] = value
        if not response.streaming and "content-length" not in present:
            response.headers["Content-Length"] = str(len(response.content))
        _add_retry_after(response)
        return response

    def _remember(self, kind: Kind, asked: HttpResponse) -> dict[str, str]:
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        del asked.headers["Content-Type"], asked.headers["Content-Length"]
        self._remembered[kind] = dict(asked.headers)
        return self._remembered[kind]


def _empty_response(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=EMPTY)


def _add_retry_after(response: HttpResponse) -> None:
    if response.status_code in RETRYABLE_STATUSES:
        response.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
