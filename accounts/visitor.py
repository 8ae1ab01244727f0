"""Who looks at a page."""

from typing import Any

from django.http import HttpRequest


def customer_of(request: HttpRequest) -> Any:
    """The customer who is signed in."""
    return request.user


def customer_id_of(request: HttpRequest) -> int:
    """The id of the customer who is signed in."""
    return customer_of(request).pk
