"""The network address that a request comes from."""

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.settings import api_settings

from web.headers import header


def client_address(request: HttpRequest | Request) -> str:
    """Return the client's IP address: the peer's, or the one that NUM_PROXIES load balancers forward."""
    forwarded, proxies = header(request, "X-Forwarded-For"), api_settings.NUM_PROXIES
    if not proxies or forwarded is None:
        return str(request.META.get("REMOTE_ADDR") or "")
    addresses = forwarded.split(",")
    return addresses[-min(proxies, len(addresses))].strip()
