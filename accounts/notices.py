"""Notices: tell the owner of an account by email what happened in it.

A notice is written in the transaction of the event, and emailed later by the sweep (`accounts.notice_mail`), so that no
request waits for a mail server and no notice is lost. Customers can switch kinds off, except those that protect the
account.
"""

from collections.abc import Collection
from uuid import UUID

from django.db import connection

from accounts.models.notice import MutedNotice, Notice

Kind = Notice.Kind
ALWAYS = frozenset({Kind.SECURITY, Kind.ACCOUNT})


def enter(customer_id: int, kind: Kind, cause: UUID | str, title: str, text: str) -> None:
    """Write a notice, unless the customer has switched its kind off.

    Idempotent: yes. A second notice of the same kind and cause changes nothing.

    Args:
        customer_id: The owner of the account.
        kind: The kind of notice.
        cause: The id of what happened.
        title: One line; the subject if the notice is the only one in an email.
        text: Whole sentences.
    """
    if wants(customer_id, kind):
        with connection.cursor() as cursor:
            cursor.execute(ENTER, [customer_id, kind.value, str(cause), title, text])


def wants(customer_id: int, kind: Kind) -> bool:
    """Return whether a customer gets notices of this kind."""
    return kind in ALWAYS or not MutedNotice.objects.filter(customer_id=customer_id, kind=kind).exists()


def muted_by(customer_id: int) -> set[str]:
    """Return the kinds that a customer has switched off."""
    return set(MutedNotice.objects.filter(customer_id=customer_id).values_list("kind", flat=True))


def set_muted(customer_id: int, kinds: Collection[str]) -> None:
    """Switch these kinds off for a customer, and all others on.

    Idempotent: yes.
    """
    off = [kind for kind in Kind if kind in kinds and kind not in ALWAYS]
    MutedNotice.objects.filter(customer_id=customer_id).exclude(kind__in=off).delete()
    MutedNotice.objects.bulk_create(
        [MutedNotice(customer_id=customer_id, kind=kind) for kind in off], ignore_conflicts=True
    )


ENTER = """
    INSERT INTO accounts_notice (customer_id, kind, cause, title, text) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
