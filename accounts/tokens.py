"""Tokens, with which programs authenticate. They are long and random, shown once, and stored as hashes."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from secrets import token_hex, token_urlsafe
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.dispatch import Signal

from accounts import notices
from accounts.access_lock import confirm_sign_in, lock_customer
from accounts.models import Customer, Token
from web.batching import Batcher
from web.collector import Collector

TOKEN_PREFIX = "brk_"  # noqa: S105 — lets leak scanners recognize our tokens
KEY_ID_PREFIX = "BK"
TOKENS_MAX = 1_000  # of one customer
EXPIRED_KEPT_DAYS = 30  # so that the customer still sees what has expired
LAST_USED_SECONDS = 300  # the precision of `last_used_at`
REMEMBERED_MAX = 10_000  # grants that one process remembers; beyond that, it forgets all of them
# Sent with `customer_id`, `reason`, and `token_id` if only one token ends. A receiver returns how many it ended.
end_webhooks = Signal()


class TooManyTokens(Exception):
    """The customer has TOKENS_MAX tokens that have not expired."""


class Secrets(NamedTuple):
    """The secrets with which a program authenticates."""

    token: str
    key_id: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A new grant with its three secrets, which are shown only once."""

    grant: Token
    token: str
    key_id: str
    secret_key: str


@dataclass(slots=True)
class Grant:
    """A token as this process last read it: its owner and what it permits. It may have been changed or revoked since.

    Attributes:
        own_reads_a_minute: The customer's own limit (`Limits`), if any; likewise `own_orders_a_minute`.
        version: A text that changes whenever what the token allows changes.
        noted_seconds: For how many more seconds the token's last use counts as recent.
    """

    id: UUID
    customer_id: int
    scopes: list[str]
    allowed_addresses: list[str] | None
    own_reads_a_minute: int | None
    own_orders_a_minute: int | None
    version: str
    noted_seconds: float

    @property
    def customer(self) -> Customer:
        """The customer, read from the database."""
        return Customer.objects.get(pk=self.customer_id)

    @property
    def use_is_noted(self) -> bool:
        """Whether its use was recorded recently."""
        return self.noted_seconds > 0


class _Found(NamedTuple):
    grant: Grant
    secret_hash: str


_remembered: dict[str, tuple[float, Grant]] = {}


def issue(
    customer: Customer,
    name: str,
    scopes: list[str] | None = None,
    expires_at: datetime | None = None,
    allowed_addresses: Sequence[str] = (),
    secrets: Secrets | None = None,
    **more: Any,
) -> Issued:
    """Create a token for this customer, and notify the customer. Delete those that expired EXPIRED_KEPT_DAYS ago.

    Idempotent: no. Each call creates another token; see `token_keys.issue_once`.

    Args:
        customer: The customer, as it was when it signed in.
        name: The name that the customer gave it.
        scopes: None means all scopes.
        expires_at: None means never.
        allowed_addresses: The networks that it may be used from, in CIDR notation; empty means from anywhere.
        secrets: None means random ones.
        more: Other fields of the token.

    Raises:
        AccessEnded: The password or the email address has changed since, or the account was deactivated or closed.
        TooManyTokens: The customer has TOKENS_MAX already that have not expired.
    """
    own = secrets or secrets_of(token_urlsafe(32), token_hex(9), token_urlsafe(32))
    grant = Token(
        customer=customer,
        name=name,
        token_hash=_hash(own.token),
        key_id=own.key_id,
        secret_hash=_hash(own.secret_key),
        scopes=scopes if scopes is not None else list(Token.Scope.values),
        allowed_addresses=list(allowed_addresses) or None,
        expires_at=expires_at,
        **more,
    )
    with transaction.atomic(durable=True):
        confirm_sign_in(customer)
        _delete_expired(customer.pk)
        if Token.objects.filter(_expires_later(), customer=customer).count() >= TOKENS_MAX:
            raise TooManyTokens
        grant.save(force_insert=True)
        _notify_owner(grant)
    return Issued(grant, *own)


def _notify_owner(grant: Token) -> None:
    may = ", ".join(grant.scopes) or "nothing"
    text = f"An API token named “{grant.name}” was created. It may: {may}."
    notices.enter(grant.customer_id, notices.Kind.SECURITY, grant.id, f"New API token “{grant.name}”", text)


def secrets_of(token: str, key_id: str, secret_key: str) -> Secrets:
    """Return secrets in the form that programs use, with their prefixes."""
    return Secrets(TOKEN_PREFIX + token, KEY_ID_PREFIX + key_id.upper(), secret_key)


def matches(grant: Token, secrets: Secrets) -> bool:
    """Return whether these are the secrets of a token."""
    return compare_digest(grant.token_hash, _hash(secrets.token)) and compare_digest(
        grant.secret_hash, _hash(secrets.secret_key)
    )


def find(token: str) -> Grant | None:
    """Return the grant of a bearer token; None if it is unknown or expired, or its customer is deactivated."""
    found = _find_by_token(_hash(token))
    return found and found.grant


def find_pair(key_id: str, secret_key: str) -> Grant | None:
    """Return the grant of a key id and its secret; None as for `find`."""
    found = _find_by_key_id(key_id)
    return found.grant if found and compare_digest(found.secret_hash, _hash(secret_key)) else None


def remember(token: str, grant: Grant) -> None:
    """Remember a grant that was just found, until its use must be recorded again."""
    if not grant.use_is_noted:
        return
    if len(_remembered) >= REMEMBERED_MAX:
        _remembered.clear()
    _remembered[_hash(token)] = time.monotonic() + min(grant.noted_seconds, LAST_USED_SECONDS), grant


def recall(token: str) -> Grant | None:
    """Return the grant of a bearer token from memory, if this process remembers it.

    Only a statement with the condition `unchanged` can tell whether it is still valid.
    """
    ends_at, grant = _remembered.get(_hash(token), (0.0, None))
    return grant if time.monotonic() < ends_at else None


def forget(token: str) -> None:
    """Forget the grant of a bearer token, so that it is looked up the next time."""
    _remembered.pop(_hash(token), None)


def end(customer_id: int, token_id: UUID) -> bool:
    """Revoke a token of a customer, with its webhooks; return whether there was one. Idempotent."""
    with transaction.atomic(durable=True):
        lock_customer(customer_id)
        return _delete(customer_id, token_id, "Its token was revoked.")


def _delete_expired(customer_id: int) -> None:
    long_ago = Now() - timedelta(days=EXPIRED_KEPT_DAYS)
    expired = Token.objects.filter(customer_id=customer_id, expires_at__lt=long_ago)
    for token_id in expired.values_list("pk", flat=True):
        _delete(customer_id, token_id, "Its token expired.")


def _delete(customer_id: int, token_id: UUID, reason: str) -> bool:
    end_webhooks.send(Token, customer_id=customer_id, reason=reason, token_id=token_id)
    _, deleted = Token.objects.filter(customer_id=customer_id, pk=token_id).delete()
    return bool(deleted)


def end_all(customer_id: int) -> int:
    """Revoke every token of a customer, with their webhooks; return how many tokens there were.

    Needs a transaction that has called `lock_customer`.
    """
    _, deleted = Token.objects.filter(customer_id=customer_id).delete()
    return deleted.get(Token._meta.label, 0)


def valid_of(grant_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these grants that are still valid."""
    grants = Token.objects.filter(_expires_later(), customer__is_active=True, pk__in=grant_ids)
    return set(grants.values_list("pk", flat=True))


def _expires_later() -> Q:
    return Q(expires_at=None) | Q(expires_at__gt=Now())


def note_use(grant: Grant, address: str = "") -> None:
    """Record that a grant was used now, and from which address, with a precision of LAST_USED_SECONDS.

    In a process that has called `note_uses_later`, the use is written within a second or so, together with others.
    Nothing waits for the disk. So a crash loses the latest uses.
    """
    if not grant.use_is_noted:
        _uses.add(grant.id, _known_address(address))
        grant.noted_seconds = LAST_USED_SECONDS


def note_uses_later() -> None:
    """Make `note_use` collect uses in this process, because one write costs nearly as much as a hundred. Idempotent."""
    _uses.start()


def note_uses_at_once() -> None:
    """Undo `note_uses_later`. Idempotent."""
    _uses.stop()


def write_uses(addresses: Mapping[UUID, str | None]) -> None:
    """Record that these grants were used a moment ago, each from its address, or None if that is not known."""
    with connection.cursor() as cursor:
        cursor.execute(WRITE_USES, [list(addresses), list(addresses.values())])


_uses = Collector(write_uses)


def _find_all(column: str, values: list[str]) -> list[_Found | None]:
    """Return what is known of the tokens that have these values in a unique column, in this order."""
    with connection.cursor() as cursor:
        cursor.execute(FIND.format(column=column), [LAST_USED_SECONDS, values])
        rows = cursor.fetchall()
    found = {
        value: _Found(Grant(id, customer_id, _scopes(scopes), addresses and json.loads(addresses), *more), secret_hash)
        for value, secret_hash, id, customer_id, scopes, addresses, *more in rows
    }
    return [found.get(value) for value in values]


@lru_cache(maxsize=1000)
def _scopes(text: str) -> list[str]:
    """Return one list for all grants with these scopes, which halves the memory that a remembered grant takes."""
    scopes: list[str] = json.loads(text)
    return scopes


# Most API requests begin with one of these look-ups, so those that arrive together share a statement.
_find_by_token = Batcher(partial(_find_all, "token_hash"))
_find_by_key_id = Batcher(partial(_find_all, "key_id"))
# Includes the customer's own limits, for `web.rate_limits`.
VALID = """
    FROM accounts_token AS token JOIN accounts_customer AS customer ON customer.id = token.customer_id
    LEFT JOIN accounts_limits AS own ON own.customer_id = token.customer_id
    WHERE {condition} AND customer.is_active AND (token.expires_at IS NULL OR token.expires_at > now())
"""
# What a process remembers of a token. A row gets another xmin with each change, and so another version with each change
# of the customer's limits; the token's own row also changes when a use is noted, which must not change its version.
VERSION = "concat(token.token_hash, token.scopes, token.allowed_addresses, ' ', own.xmin)"
# The values are a subquery, because the planner would see how few there are and plan anew each time, which takes four
# times as long as the look-up itself.
FIND = f"""
    SELECT token.{{column}}, token.secret_hash, token.id, token.customer_id, token.scopes, token.allowed_addresses,
           own.reads_a_minute, own.orders_a_minute, {VERSION},
           coalesce(extract(epoch FROM token.last_used_at - now()) + %s, 0)::float8
    {VALID.format(condition="token.{column} = ANY ((SELECT %s::text[])::text[])")}
"""
# The statement is its own transaction, and turns off the wait for the disk only for itself. It skips a token that is
# locked, for then it is ending, or its use is being noted: so two of these never wait for each other.
WRITE_USES = """
    WITH lazily AS (SELECT set_config('synchronous_commit', 'off', true)), used AS (
        SELECT token.id, new.address
        FROM lazily, unnest(%s::uuid[], %s::inet[]) AS new (id, address)
        JOIN accounts_token AS token ON token.id = new.id
        FOR NO KEY UPDATE OF token SKIP LOCKED
    )
    UPDATE accounts_token AS token SET last_used_at = statement_timestamp(), last_used_address = used.address
    FROM used WHERE token.id = used.id
"""


def unchanged(grant_id: str, version: str) -> str:
    """Return an SQL condition that a remembered grant is valid and unchanged, given SQL for its id and its version."""
    return f"EXISTS (SELECT {VALID.format(condition=f'token.id = {grant_id}')} AND {VERSION} = {version})"


def _known_address(text: str) -> str | None:
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
