"""Who looks at a page."""

from typing import Any

from django.http import HttpRequest


def current_customer(request: HttpRequest) -> Any:
    """The customer who is signed in."""
    return request.user


def current_customer_id(request: HttpRequest) -> int:
    """The id of the customer who is signed in."""
    return current_customer(request).pk
