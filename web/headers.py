"""Default headers of every response, unless a view sets them itself."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

RETRY_AFTER_SECONDS = 2
RETRYABLE_STATUSES = (429, 503)  # their responses always carry Retry-After


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
