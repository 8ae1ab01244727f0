"""Adjustments: cash or shares that staff move into or out of an account. One person requests, another approves."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts.account import LARGEST_POSITION, BalanceTooLarge, InsufficientFunds, InsufficientShares, PositionTooLarge
from accounts.ledger import open_books
from accounts.models import CASH, Adjustment, Customer, Posting

__all__ = [
    "LARGEST_POSITION",
    "BalanceTooLarge",
    "DecidedAlready",
    "InsufficientFunds",
    "InsufficientShares",
    "OwnAdjustment",
    "PositionTooLarge",
    "ask_for_adjustment",
    "decide_on_adjustment",
]


class OwnAdjustment(Exception):
    """A member of staff can't decide on an adjustment that they requested, or on one to their own account."""


class DecidedAlready(Exception):
    """The adjustment was already approved or declined."""


def ask_for_adjustment(
    customer_id: int,
    change: Decimal,
    reason_code: str,
    reason: str,
    by: Customer,
    *,
    ticker: str = CASH,
    price: Decimal | None = None,
) -> Adjustment:
    """Request an adjustment of an account's cash or shares. Nothing moves until somebody else approves it.

    Idempotent: no. Each call creates another adjustment.

    Args:
        customer_id: The owner of the account.
        change: USD with up to four decimals or, with a ticker, whole shares. Positive: into the account; negative: out
            of it; not zero.
        reason_code: An Adjustment.Reason.
        reason: The reason in words.
        by: The member of staff.
        ticker: The stock; by default, cash is moved.
        price: The cost of each added share, USD, zero or more. Only if shares are added.
    """
    adjustment = Adjustment(
        customer_id=customer_id,
        ticker=ticker,
        change=change,
        price=price,
        reason_code=reason_code,
        reason=reason,
        asked_by=by,
    )
    adjustment.save(force_insert=True)
    adjustment.refresh_from_db()
    return adjustment


def decide_on_adjustment(adjustment_id: UUID, approve: bool, by: Customer) -> Adjustment:
    """Approve an adjustment, which posts it in the same transaction, or decline it.

    Idempotent: no. A repeated call raises DecidedAlready.

    Raises:
        OwnAdjustment: `by` requested it, or it is to their own account.
        DecidedAlready: It was already approved or declined.
        InsufficientFunds, InsufficientShares: It would take out more than is available; what a trade holds isn't.
        BalanceTooLarge, PositionTooLarge: The account would hold more than it can.
    """
    customer_id = Adjustment.objects.values_list("customer_id", flat=True).get(id=adjustment_id)
    with transaction.atomic(durable=True):
        books = open_books([customer_id])
        adjustment = Adjustment.objects.get(id=adjustment_id)  # the lock on the books keeps out other decisions
        if adjustment.approved is not None:
            raise DecidedAlready
        if by.id in {adjustment.asked_by_id, adjustment.customer_id}:
            raise OwnAdjustment
        if approve:
            account, ticker, change = books[customer_id], adjustment.ticker, adjustment.change
            if ticker == CASH:
                account.move_cash(Posting.Kind.ADJUSTMENT, adjustment.id, change)
            else:
                books.load_shares([(customer_id, ticker)])
                account.move_shares(ticker, Posting.Kind.ADJUSTMENT, adjustment.id, int(change), adjustment.price)
            books.write()
        Adjustment.objects.filter(id=adjustment.id).update(approved=approve, decided_by=by, decided_at=Now())
    adjustment.refresh_from_db()
    return adjustment
