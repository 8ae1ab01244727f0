"""Notices: what happened in an account, told to its owner by mail.

A notice is entered in the transaction of what it tells, and mailed later by the sweep (`accounts.notice_mail`): so no
request waits for a mail server, and none is lost. Customers switch kinds off, but not those that protect the account.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db import models

from accounts.models.notice import MutedNotice, Notice

Kind = Notice.Kind
ALWAYS = frozenset({Kind.SECURITY, Kind.ACCOUNT})


def enter(customer_id: int, kind: Kind, cause: UUID | str, title: str, text: str) -> None:
    """Enter a notice, unless the customer has switched its kind off.

    Idempotent: another one of the same kind and cause changes nothing.

    Args:
        cause: The id of what it tells about.
        title: One line, the subject if it is mailed alone.
        text: Whole sentences.
    """
    if wants(customer_id, kind):
        enter_all([Notice(customer_id=customer_id, kind=kind, cause=str(cause), title=title, text=text)])


def enter_all(notices: Iterable[Notice]) -> None:
    """Enter notices, those that are there already aside. The caller has asked who wants them."""
    Notice.objects.bulk_create(notices, ignore_conflicts=True)


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


def who_mutes(kind: Kind) -> models.QuerySet[MutedNotice, int]:
    """Return the ids of the customers that have switched a kind off."""
    return MutedNotice.objects.filter(kind=kind).values_list("customer_id", flat=True)
