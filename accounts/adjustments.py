"""Adjustments: cash that staff moves. One asks, another decides; what is approved is a posting like any other."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts.funding import BalanceTooLarge
from accounts.ledger import LARGEST_AMOUNT, open_books
from accounts.models import Adjustment, Customer, Posting


class OwnAdjustment(Exception):
    """Nobody decides on an adjustment that they asked for, or that is to their own account."""


class DecidedAlready(Exception):
    """The adjustment was approved or declined before."""


def ask_for_adjustment(customer_id: int, change: Decimal, reason: str, why: str, by: Customer) -> Adjustment:
    """Ask for cash to be moved into an account (change > 0) or out of it; nothing moves. Again: another one.

    change: USD, not zero, four digits at most; reason: an Adjustment.Reason; why: in words.
    """
    adjustment = Adjustment(customer_id=customer_id, change=change, reason=reason, why=why, asked_by=by)
    adjustment.save(force_insert=True)
    adjustment.refresh_from_db()
    return adjustment


def decide_on_adjustment(adjustment_id: UUID, approve: bool, by: Customer) -> Adjustment:
    """Approve an adjustment, which posts it in the same transaction, or decline it. Again: DecidedAlready.

    Raises OwnAdjustment, DecidedAlready, InsufficientFunds (it would take more than is available), BalanceTooLarge;
    then nothing has changed.
    """
    customer_id = Adjustment.objects.values_list("customer_id", flat=True).get(id=adjustment_id)
    with transaction.atomic(durable=True):
        books = open_books([customer_id])
        adjustment = Adjustment.objects.get(id=adjustment_id)  # nobody else decides on it: the books are locked
        if adjustment.approved is not None:
            raise DecidedAlready
        if by.id in {adjustment.asked_by_id, adjustment.customer_id}:
            raise OwnAdjustment
        if approve:
            account = books[customer_id]
            if account.amount + adjustment.change > LARGEST_AMOUNT:
                raise BalanceTooLarge
            account.move_cash(Posting.Kind.ADJUSTMENT, adjustment.id, adjustment.change)
            books.write()
        Adjustment.objects.filter(id=adjustment.id).update(approved=approve, decided_by=by, decided_at=Now())
    adjustment.refresh_from_db()
    return adjustment
