"""Documents generated on request, as PDF or CSV: one at a time in each process, and one at a time for each customer."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse

from web.bounded import Bounded
from web.current_customer import current_customer_id

WAITING_MAX, WAIT_SECONDS_MAX = 1, 5.0  # each waiting request occupies one of the process's few threads


class TooManyDocuments(Exception):
    """Another document is still being generated. Try again in a moment."""


making = Bounded(WAITING_MAX, WAIT_SECONDS_MAX, TooManyDocuments)


Page = Callable[..., HttpResponse]


def in_turn(page: Page) -> Page:
    """Decorate a page that generates a document, so that pages read their data and generate documents one at a time.

    Raises:
        TooManyDocuments: Another document is being generated for the customer, or too many requests are waiting.
    """

    @wraps(page)
    def in_its_turn(request: HttpRequest, **parameters: Any) -> HttpResponse:
        with making.turn(current_customer_id(request)):
            return page(request, **parameters)

    return in_its_turn
