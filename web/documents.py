"""Documents generated on request, as PDF or CSV: one at a time in each process, and one at a time for each customer.

A customer may have a number of them made in a minute, because each takes up to a second of a core.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from web.bounded import Bounded
from web.current_customer import current_customer_id
from web.rate_limits import count_attempt

WAITING_MAX, WAIT_SECONDS_MAX = 1, 5.0  # each waiting request occupies one of the process's few threads


class TooManyDocuments(Exception):
    """Another document is still being generated. Try again in a moment."""


class DocumentLimitReached(Exception):
    """The customer has had too many documents made in the last minute."""


making = Bounded(WAITING_MAX, WAIT_SECONDS_MAX, TooManyDocuments)


Page = Callable[..., HttpResponse]


@contextmanager
def turn(customer_id: int) -> Iterator[None]:
    """Wait for the turn to generate a document for this customer, and keep it while the context is open.

    Raises:
        TooManyDocuments: Another document is being generated for the customer, or too many requests are waiting.
        DocumentLimitReached: The customer has had too many made in the last minute.
    """
    with making.turn(customer_id):
        if count_attempt(f"documents:{customer_id}", settings.DOCUMENTS_A_MINUTE, 60).exceeded:
            raise DocumentLimitReached
        yield


def in_turn(page: Page) -> Page:
    """Decorate a page that generates a document, so that pages read their data and generate documents one at a time.

    Raises:
        TooManyDocuments: Another document is being generated for the customer, or too many requests are waiting.
        DocumentLimitReached: The customer has had too many made in the last minute.
    """

    @wraps(page)
    def in_its_turn(request: HttpRequest, **parameters: Any) -> HttpResponse:
        with turn(current_customer_id(request)):
            return page(request, **parameters)

    return in_its_turn
