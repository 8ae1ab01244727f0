"""Freezes: staff freeze a customer's withdrawals, and lift the freeze."""

from django.db import transaction

from accounts.ledger import open_books
from accounts.models import Customer, Freeze
from accounts.revocation import Cause, mail_frozen


class WithdrawalsFrozen(Exception):
    """Staff have frozen withdrawals from this account."""


def is_frozen(customer_id: int) -> bool:
    """Return whether this customer's withdrawals are frozen."""
    newest = Freeze.objects.filter(customer_id=customer_id).order_by("-id").values_list("is_on", flat=True)[:1]
    return bool(newest and newest[0])


def freeze_withdrawals(customer_id: int, is_on: bool, *, reason: str, by: Customer) -> Freeze:
    """Freeze a customer's withdrawals or lift the freeze, and tell the owner by email.

    It affects every withdrawal that begins afterwards, and waits for one that holds the customer's lock now.

    Idempotent: no. Each call is recorded with its own reason.
    """
    with transaction.atomic(durable=True):
        open_books([customer_id])
        changed = is_on != is_frozen(customer_id)
        freeze = Freeze(customer_id=customer_id, is_on=is_on, reason=reason, by=by)
        freeze.save(force_insert=True)
        if changed:
            mail_frozen(freeze.customer, Cause.WITHDRAWALS_FROZEN, is_on)
    freeze.refresh_from_db()
    return freeze
