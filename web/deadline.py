"""Deadline: how long a request that changes something may wait, over all its waits together.

Each wait for the database has a limit of its own: for a connection, a lock, a standby that confirms a commit. While a
part of the database is away, a request may run into several of them. Whatever waits asks for `seconds_left`, so that
the customer is told in time to try again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import overload

from django.http import HttpRequest, HttpResponse

REQUEST_SECONDS_MAX = 1.5
# Passwords are hashed here, which takes as long as the processor is busy, and staff change many rows at once.
UNLIMITED = ("/account/", "/admin/", "/api/v1/tokens")

_ends_at: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Limit the waits inside to this many seconds from now, all together."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


@overload
def seconds_left(limit: float) -> float: ...
@overload
def seconds_left(limit: float | None = None) -> float | None: ...
def seconds_left(limit: float | None = None) -> float | None:
    """Return how long one wait may take, 0 or more: at most `limit` (None: without limit), and until the deadline."""
    if (ends_at := _ends_at.get()) is None:
        return limit
    remaining = max(0.0, ends_at - time.monotonic())
    return remaining if limit is None else min(remaining, limit)


class AnswerInTime:
    """Middleware: set a deadline for each POST."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST" or request.path.startswith(UNLIMITED):
            return self._get_response(request)
        with deadline(REQUEST_SECONDS_MAX):
            return self._get_response(request)
