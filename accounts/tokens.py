"""Tokens: how programs show who they are. Random and long; shown once, kept as hashes."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Customer, Token

TOKEN_PREFIX = "brk_"  # noqa: S105 — so that leak scanners know one when they see it
KEY_ID_PREFIX = "BK"
LAST_USED_SECONDS = 300  # how fine `last_used_at` is


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


def end_all(customer_id: int) -> int:
    """End every token of a customer at once; how many there were. Again: none."""
    return Token.objects.filter(customer_id=customer_id).delete()[0]


def valid_of(grant_ids: Collection[UUID]) -> set[UUID]:
    """Which of these grants still work."""
    ends_later = Q(expires_at=None) | Q(expires_at__gt=Now())
    grants = Token.objects.filter(ends_later, customer__is_active=True, pk__in=grant_ids)
    return set(grants.values_list("pk", flat=True))


def note_use(grant: Token) -> None:
    """Remember that a grant that `find` found was used now, to LAST_USED_SECONDS. Again: nothing, for so long.

    Nothing waits for the disk: a crash forgets the last uses.
    """
    if not grant.use_is_noted:
        with connection.cursor() as cursor:
            cursor.execute(NOTE_USE, [grant.id])


def _find(column: str, value: str) -> Token | None:
    with connection.cursor() as cursor:
        cursor.execute(FIND.format(seconds=LAST_USED_SECONDS, column=column), [value])
        row = cursor.fetchone()
    if row is None:
        return None
    *own, use_is_noted, reads_a_minute, orders_a_minute = row
    grant = Token.from_db(connection.alias, FOUND, own)
    grant.scopes, grant.use_is_noted = json.loads(grant.scopes), use_is_noted
    grant.own_reads_a_minute, grant.own_orders_a_minute = reads_a_minute, orders_a_minute
    return grant


# In the order of the model's fields; the rest of a grant is read when somebody looks at it.
FOUND = ("id", "customer_id", "secret_hash", "scopes")
# Every call of the API begins with this. As a query set it would cost more to put together than to answer.
# The customer's own limits come along, for `web.rate_limits`.
FIND = """
    SELECT token.id, token.customer_id, token.secret_hash, token.scopes,
           coalesce(token.last_used_at > now() - make_interval(secs => {seconds}), false),
           own.reads_a_minute, own.orders_a_minute
    FROM accounts_token AS token JOIN accounts_customer AS customer ON customer.id = token.customer_id
    LEFT JOIN accounts_limits AS own ON own.customer_id = token.customer_id
    WHERE token.{column} = %s AND customer.is_active AND (token.expires_at IS NULL OR token.expires_at > now())
"""
# A program that places a trade now and then pays this with each of them. The statement is its own transaction, for
# which alone it turns the wait for the disk off.
NOTE_USE = """
    WITH lazily AS (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE accounts_token SET last_used_at = statement_timestamp() FROM lazily WHERE id = %s
"""


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
