"""The network address that a request comes from."""

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle


def client_address(request: HttpRequest | Request) -> str:
    """Return the client's IP address: the peer's, or the one that NUM_PROXIES load balancers forward."""
    return str(BaseThrottle().get_ident(request) or "")  # type: ignore[arg-type]
