"""Token authentication: find the customer behind a REST call, and check that the token's scopes allow the call.

The tokens themselves belong to an app. The setting `TOKEN_STORE` names its module, which has `find(token)`,
`find_pair(key_id, secret_key)`, `remember(token, grant)`, `recall(token)`, `forget(token)`,
`note_use(grant, address)`, `note_uses_later()` and `valid_of(grant_ids)`.
"""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Protocol, cast
from uuid import UUID

from django.conf import settings
from django.utils.functional import SimpleLazyObject
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from web.client_address import client_address
from web.headers import header

READ = "read"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UNKNOWN_TOKEN = "The token is unknown, expired, or revoked."  # noqa: S105
UNKNOWN_KEY_PAIR = "The key pair is unknown, expired, or revoked."


class Grant(Protocol):
    """What a token allows: the customer it acts for, its scopes, and its limits."""

    id: UUID
    customer_id: int
    scopes: list[str]
    allowed_addresses: list[str] | None
    own_reads_a_minute: int | None
    own_orders_a_minute: int | None
    version: str

    @property
    def customer(self) -> Any: ...


@cache
def token_store() -> Any:
    """Return the module that the setting `TOKEN_STORE` names."""
    return import_module(settings.TOKEN_STORE)


def authorization(request: Request) -> bytes:
    """Return the Authorization header, empty if it is missing."""
    return (header(request, "Authorization") or "").encode("iso-8859-1")


def bearer_token(authorization: bytes) -> str | None:
    """Return the token of an `Authorization: Bearer` header; None if the header is missing or uses another scheme.

    A token that is not ASCII is returned as an empty string, which matches no customer.
    """
    kind, _, token = authorization.partition(b" ")
    if kind.lower() != b"bearer":
        return None
    token = token.strip()
    return token.decode() if token.isascii() else ""


class AddressNotAllowed(exceptions.PermissionDenied):
    """The token is valid but may not be used from the caller's address."""

    default_detail = "This token can't be used from your address."
    default_code = "address_not_allowed"


def grant_of_token(token: str, address: str) -> Grant | None:
    """Return the grant of a bearer token and record its use from this address; None if the token is not valid.

    Raises:
        AddressNotAllowed: The token may not be used from this address.
    """
    return _used(token_store().find(token) if token else None, address)


def grant_of_pair(key_id: str, secret_key: str, address: str) -> Grant | None:
    """Return the grant of a key id and its secret. Otherwise like `grant_of_token`."""
    is_text = (key_id + secret_key).isascii() and "\x00" not in key_id
    return _used(token_store().find_pair(key_id, secret_key) if is_text else None, address)


def _used(grant: Grant | None, address: str) -> Grant | None:
    if grant is not None:
        if not may_use(grant, address):
            raise AddressNotAllowed
        token_store().note_use(grant, address)
    return grant


def may_use(grant: Grant, address: str) -> bool:
    """Return whether a grant may be used from this address."""
    return not grant.allowed_addresses or is_within(address, grant.allowed_addresses)


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Return whether an address is in one of these networks, given in CIDR notation."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return any(ip in ip_network(network) for network in networks)


class TokenAuthentication(BaseAuthentication):
    """Authenticate by `Authorization: Bearer <token>`."""

    def authenticate(self, request: Request) -> tuple[Any, Grant] | None:
        """Return the customer (read from the database only when used) and the grant; None without such a header.

        Raises:
            AuthenticationFailed: The token is not valid.
            AddressNotAllowed: The token may not be used from this address.
        """
        token = bearer_token(authorization(request))
        if token is None:
            return None
        grant = grant_of_token(token, client_address(request))
        if grant is None:
            raise exceptions.AuthenticationFailed(UNKNOWN_TOKEN)
        return SimpleLazyObject(lambda: grant.customer), grant

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class RememberedTokenAuthentication(TokenAuthentication):
    """Authenticate like `TokenAuthentication`, but from memory if the request changes something and memory allows it.

    Only for views that confirm the access afterwards: see `web.drf.LateConfirmedView`.
    """

    is_from_memory = False

    def authenticate(self, request: Request) -> tuple[Any, Grant] | None:
        """Return the customer and the grant, and set `is_from_memory` if the grant is a remembered one."""
        token = bearer_token(authorization(request))
        if not token or request.method in SAFE_METHODS:
            return super().authenticate(request)
        grant = token_store().recall(token)
        if grant is not None and may_use(grant, client_address(request)):
            self.is_from_memory = True
            return SimpleLazyObject(lambda: grant.customer), grant
        return self.look_up(request, token)

    def look_up(self, request: Request, token: str) -> tuple[Any, Grant] | None:
        """Authenticate by the database, and remember the grant as it is now."""
        token_store().forget(token)
        found = super().authenticate(request)
        if found is not None:
            token_store().remember(token, found[1])
        return found


class KeyPairAuthentication(BaseAuthentication):
    """Authenticate by `APCA-API-KEY-ID` and `APCA-API-SECRET-KEY`."""

    def authenticate(self, request: Request) -> tuple[Any, Grant] | None:
        """Return the customer and the grant; None without such headers.

        Raises:
            AuthenticationFailed: The key pair is not valid.
            AddressNotAllowed: The key pair may not be used from this address.
        """
        key_id, secret_key = header(request, "APCA-API-KEY-ID"), header(request, "APCA-API-SECRET-KEY")
        if key_id is None or secret_key is None:
            return None
        grant = grant_of_pair(key_id, secret_key, client_address(request))
        if grant is None:
            raise exceptions.AuthenticationFailed(UNKNOWN_KEY_PAIR)
        return SimpleLazyObject(lambda: grant.customer), grant

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class HasScope(BasePermission):
    """Require the scope `read` for safe methods, and the view's `scope` for everything else."""

    def has_permission(self, request: Request, view: object) -> bool:
        needed = READ if request.method in SAFE_METHODS else getattr(view, "scope", None)
        self.message = f"This token lacks the scope “{needed}”."
        grant = cast("Grant | None", request.auth)
        return grant is not None and needed in grant.scopes
