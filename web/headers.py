"""Headers: reading those of a request, and the default ones of every response."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

RETRY_AFTER_SECONDS = 2
RETRYABLE_STATUSES = (429, 503)  # their responses always carry Retry-After


def header(request: HttpRequest | Request, name: str) -> str | None:
    """Return a header of a request, or None.

    `request.headers` would first parse all headers and the process's environment, a twentieth of what a placing costs.
    """
    value: str | None = request.META.get("HTTP_" + name.upper().replace("-", "_"))
    return value


class DefaultHeaders:
    """Middleware: forbid caching, and add Retry-After to responses that a client should retry."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response with the missing headers added."""
        response = self._get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        if response.status_code in RETRYABLE_STATUSES:
            response.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        return response
