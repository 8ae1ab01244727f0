"""Documents that are made on request, as PDF or CSV: a customer has one made at a time, and a process makes one."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse

from web.bounded import Bounded
from web.current_customer import current_customer_id

WAITING_MAX, WAIT_SECONDS_MAX = 1, 5.0  # each that waits keeps one of its process's few threads


class TooManyDocuments(Exception):
    """Another document is still being made. Try again in a moment."""


making = Bounded(WAITING_MAX, WAIT_SECONDS_MAX, TooManyDocuments)


Page = Callable[..., HttpResponse]


def in_turn(page: Page) -> Page:
    """Let a page make its document in a turn. What it reads for it is read within the turn too.

    Raises:
        TooManyDocuments: The customer has a document made already, or no turn came in time.
    """

    @wraps(page)
    def in_its_turn(request: HttpRequest, **parameters: Any) -> HttpResponse:
        with making.turn(current_customer_id(request)):
            return page(request, **parameters)

    return in_its_turn
