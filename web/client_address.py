"""The network address that a request comes from."""

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle


def client_address(request: HttpRequest | Request) -> str:
    """Return the caller's address: the one that connected, or the one that NUM_PROXIES balancers tell of."""
    return str(BaseThrottle().get_ident(request) or "")  # type: ignore[arg-type]
