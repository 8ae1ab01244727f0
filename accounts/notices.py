"""Notices: what happened in an account, told to its owner by mail.

A notice is entered in the transaction of what it tells, and mailed later by the sweep (`accounts.notice_mail`): so no
request waits for a mail server, and none is lost. Customers switch kinds off, but not those that protect the account.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from accounts.models.notice import MutedNotice, Notice

Kind = Notice.Kind
ALWAYS = frozenset({Kind.SECURITY, Kind.ACCOUNT})


class Entry(NamedTuple):
    """A notice to be entered."""

    customer_id: int
    #: The id of what it tells about.
    cause: str
    #: One line, the subject if it is mailed alone.
    title: str
    #: Whole sentences.
    text: str


def enter(customer_id: int, kind: Kind, cause: UUID | str, title: str, text: str) -> None:
    """Enter a notice, unless the customer has switched its kind off.

    Idempotent: another one of the same kind and cause changes nothing.

    Args:
        cause: The id of what it tells about.
        title: One line, the subject if it is mailed alone.
        text: Whole sentences.
    """
    if wants(customer_id, kind):
        enter_all(kind, [Entry(customer_id, str(cause), title, text)])


def enter_all(kind: Kind, entries: Sequence[Entry], mailed_after_seconds: float = 0) -> None:
    """Enter notices of one kind, in one statement. The caller has made sure that their customers want them.

    Idempotent: a notice that is there already is left as it is.

    Args:
        mailed_after_seconds: How long they wait for others that can come in the same mail.
    """
    if entries:
        with connection.cursor() as cursor:
            cursor.execute(ENTER, [kind.value, mailed_after_seconds, *map(list, zip(*entries, strict=True))])


def wants(customer_id: int, kind: Kind) -> bool:
    """Return whether a customer gets notices of this kind."""
    return kind in ALWAYS or not MutedNotice.objects.filter(customer_id=customer_id, kind=kind).exists()


def muted_by(customer_id: int) -> set[str]:
    """Return the kinds that a customer has switched off."""
    return set(MutedNotice.objects.filter(customer_id=customer_id).values_list("kind", flat=True))


def set_muted(customer_id: int, kinds: Collection[str]) -> None:
    """Switch these kinds off for a customer, and all others on. Idempotent."""
    off = [kind for kind in Kind if kind in kinds and kind not in ALWAYS]
    MutedNotice.objects.filter(customer_id=customer_id).exclude(kind__in=off).delete()
    MutedNotice.objects.bulk_create(
        [MutedNotice(customer_id=customer_id, kind=kind) for kind in off], ignore_conflicts=True
    )


ENTER = """
    INSERT INTO accounts_notice (kind, due_at, customer_id, cause, title, text)
    SELECT %s, statement_timestamp() + make_interval(secs => %s), new.customer_id, new.cause, new.title, new.text
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[]) AS new (customer_id, cause, title, text)
    ON CONFLICT DO NOTHING
"""
