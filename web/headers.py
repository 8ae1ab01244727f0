"""What every answer says in its headers, unless a view says otherwise."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

RETRY_AFTER_SECONDS = 2
RETRIED = (429, 503)  # answers that always say when to come back


class DefaultHeaders:
    """Middleware: let no cache keep an answer, and tell a client that is to try again when."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, with the headers that are missing."""
        response = self._get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        if response.status_code in RETRIED:
            response.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        return response
