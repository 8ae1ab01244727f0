"""Give every log line of a request the id that the load balancer gave it, and the client too."""

import re
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
PLAIN = re.compile(r"[A-Za-z0-9-]{8,64}")


class RequestId:
    """Middleware: binds the id that came with the request to what is logged meanwhile; without one it does nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, with its id."""
        given = request.headers.get(HEADER, "")
        if not PLAIN.fullmatch(given):
            return self._get_response(request)
        with structlog.contextvars.bound_contextvars(request=given):
            response = self._get_response(request)
        response.headers[HEADER] = given
        return response
