"""The customer signed in to the pages."""

from typing import Any

from django.http import HttpRequest


def current_customer(request: HttpRequest) -> Any:
    """Return the signed-in customer."""
    return request.user


def current_customer_id(request: HttpRequest) -> int:
    """Return the id of the signed-in customer."""
    return int(current_customer(request).pk)
