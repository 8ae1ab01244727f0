"""Freezes: staff freezes a customer's withdrawals, and unfreezes them."""

from django.db import transaction

from accounts.ledger import open_books
from accounts.models import Customer, Freeze
from accounts.revocation import Cause, tell_frozen


class WithdrawalsFrozen(Exception):
    """Staff has frozen withdrawals from this account."""


def is_frozen(customer_id: int) -> bool:
    """Return whether this customer's withdrawals are frozen."""
    newest = Freeze.objects.filter(customer_id=customer_id).order_by("-id").values_list("is_on", flat=True)[:1]
    return bool(newest and newest[0])


def freeze_withdrawals(customer_id: int, is_on: bool, *, reason: str, by: Customer) -> Freeze:
    """Freeze a customer's withdrawals, or lift the freeze, for every withdrawal that begins afterwards; tell the owner.

    Waits for a withdrawal that holds the customer's lock.

    Idempotent: no. Each call is recorded with its own reason.
    """
    with transaction.atomic(durable=True):
        open_books([customer_id])
        changed = is_on != is_frozen(customer_id)
        freeze = Freeze(customer_id=customer_id, is_on=is_on, reason=reason, by=by)
        freeze.save(force_insert=True)
        if changed:
            tell_frozen(freeze.customer, Cause.WITHDRAWALS_FROZEN, is_on)
    freeze.refresh_from_db()
    return freeze
