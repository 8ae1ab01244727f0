"""Patience: how long a request may wait in vain, over all its waits together.

Each wait for another system has a limit of its own: for a connection, a lock, a standby that confirms a commit, prices.
While a part is away, a request may run into several of them. So a wait that ends without an answer is deducted from the
request's patience, and no later wait is longer than what is left of it. In the end the customer is told in time to try
again.

An answered wait costs nothing, however long it took, and neither does computing. So a busy machine refuses nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import overload

from django.http import HttpRequest, HttpResponse

REQUEST_SECONDS = 1.5
# What waits for optional parts (prices, the shared cache, the broker) leave to the database.
RESERVED_SECONDS = 0.5
MOMENT_SECONDS = 0.1


class _Patience:
    """How much longer one request may wait in vain. All threads that work for the request share this object."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.is_whole = seconds, True


_patience: ContextVar[_Patience | None] = ContextVar("patience", default=None)


@contextmanager
def limited_patience(seconds: float = REQUEST_SECONDS) -> Iterator[None]:
    """Let the waits inside be in vain for this many seconds, all together."""
    token = _patience.set(_Patience(seconds))
    try:
        yield
    finally:
        _patience.reset(token)


@overload
def seconds_left(limit: float, *, optional: bool = False) -> float: ...
@overload
def seconds_left(limit: float | None = None, *, optional: bool = False) -> float | None: ...
def seconds_left(limit: float | None = None, *, optional: bool = False) -> float | None:
    """Return how long one wait may take: at most `limit` (None: without limit), and what is left.

    It is never less than the moment in which a part that is not away answers.

    Args:
        optional: The request can do without the answer.
    """
    if (patience := _patience.get()) is None:
        return limit
    seconds = max(MOMENT_SECONDS, patience.seconds - (RESERVED_SECONDS if optional else 0.0))
    return seconds if limit is None else min(seconds, limit)


def is_whole() -> bool:
    """Return whether this is a request that has not waited in vain yet."""
    patience = _patience.get()
    return patience is not None and patience.is_whole


def deduct(seconds: float) -> None:
    """Deduct a wait that was in vain. Less than a moment does not count."""
    if (patience := _patience.get()) is not None and seconds >= MOMENT_SECONDS:
        patience.seconds, patience.is_whole = patience.seconds - seconds, False


@contextmanager
def waiting() -> Iterator[None]:
    """Deduct the time inside if it ends with an error."""
    began = time.monotonic()
    try:
        yield
    except BaseException:
        deduct(time.monotonic() - began)
        raise


class AnswerInTime:
    """Middleware: limit the patience of each request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with limited_patience(REQUEST_SECONDS):
            return self._get_response(request)
