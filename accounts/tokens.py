"""Tokens: how programs show who they are. Random and long; shown once, kept as hashes."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest

from django.utils import timezone

from accounts.models import Customer, Token

TOKEN_PREFIX = "brk_"  # noqa: S105 — so that leak scanners know one when they see it
KEY_ID_PREFIX = "BK"
LAST_USED_SECONDS = 60  # how fine `last_used_at` is


@dataclass(frozen=True, slots=True)
class Issued:
    """A new grant with its three secrets, which are never to be seen again."""

    grant: Token
    token: str
    key_id: str
    secret_key: str


def issue(customer: Customer, name: str, scopes: list[str] | None = None, expires_at: datetime | None = None) -> Issued:
    """Make a token for this customer. Again: another one. scopes None: all of them; expires_at None: never."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    key_id = KEY_ID_PREFIX + secrets.token_hex(9).upper()
    secret_key = secrets.token_urlsafe(32)
    grant = Token.objects.create(
        customer=customer,
        name=name,
        token_hash=_hash(token),
        key_id=key_id,
        secret_hash=_hash(secret_key),
        scopes=scopes if scopes is not None else list(Token.Scope.values),
        expires_at=expires_at,
    )
    return Issued(grant, token, key_id, secret_key)


def find(token: str) -> Token | None:
    """The grant of a bearer token; None where it does not exist, has ended, or its customer may not sign in."""
    return _find("token_hash", _hash(token))


def find_pair(key_id: str, secret_key: str) -> Token | None:
    """The same, of a key id and its secret."""
    grant = _find("key_id", key_id)
    return grant if grant and compare_digest(grant.secret_hash, _hash(secret_key)) else None


def note_use(grant: Token) -> None:
    """Remember that a grant was used now, to the minute."""
    now = timezone.now()
    if grant.last_used_at is None or (now - grant.last_used_at).total_seconds() > LAST_USED_SECONDS:
        Token.objects.filter(pk=grant.pk).update(last_used_at=now)


def _find(column: str, value: str) -> Token | None:
    return next(iter(Token.objects.raw(FIND.format(column=column), [value])), None)


# Every call of the API begins with this. As a query set it would cost more to put together than to answer.
FIND = """
    SELECT token.* FROM accounts_token AS token JOIN accounts_customer AS customer ON customer.id = token.customer_id
    WHERE token.{column} = %s AND customer.is_active AND (token.expires_at IS NULL OR token.expires_at > now())
"""


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
