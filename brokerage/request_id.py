"""Give each request an id, in all its log lines and its response: the load balancer's, or a new one."""

import re
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from uuid_utils import uuid4

from web.headers import header

HEADER = "X-Request-ID"
PLAIN = re.compile(r"[A-Za-z0-9-]{8,64}")


def request_id(header: str) -> str:
    """Return the id that came with a request, or a new one if it is missing or malformed."""
    return header if PLAIN.fullmatch(header) else str(uuid4())


class RequestId:
    """Middleware that adds the request's id to its log lines and to the response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, with its id."""
        id = request_id(header(request, HEADER) or "")
        before = structlog.contextvars.bind_contextvars(request=id)
        try:
            response = self._get_response(request)
        finally:
            structlog.contextvars.reset_contextvars(**before)
        response.headers[HEADER] = id
        return response
