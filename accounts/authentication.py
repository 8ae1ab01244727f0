"""Who calls the REST API, and whether the token allows it."""

from django.utils.functional import SimpleLazyObject
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts import tokens
from accounts.models import Customer, Token


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>` names the customer."""

    def authenticate(self, request: Request) -> tuple[Customer, Token] | None:
        """The customer (read when looked at) and the grant; None without such a header. Raises AuthenticationFailed."""
        kind, _, token = get_authorization_header(request).partition(b" ")
        if kind.lower() != b"bearer":
            return None
        try:
            grant = tokens.find(token.strip().decode("ascii"))
        except UnicodeDecodeError:
            grant = None
        if grant is None:
            raise exceptions.AuthenticationFailed("The token is unknown, has ended, or was deleted.")
        tokens.note_use(grant)
        return SimpleLazyObject(lambda: grant.customer), grant  # type: ignore[return-value]

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class HasScope(BasePermission):
    """The token's scopes allow it: `read` for GET, and what the view names in `scope` for everything else."""

    def has_permission(self, request: Request, view: object) -> bool:
        needed = Token.Scope.READ if request.method in {"GET", "HEAD", "OPTIONS"} else getattr(view, "scope", None)
        self.message = f"This token lacks the scope “{needed}”."
        return isinstance(request.auth, Token) and needed in request.auth.scopes
