"""Adjustments: cash or shares that staff moves. One asks, another decides; approved, it is a posting like any other."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts.funding import BalanceTooLarge
from accounts.ledger import LARGEST_AMOUNT, Account, InsufficientShares, Movement, money, open_books
from accounts.models import CASH, Adjustment, Customer, Posting

LARGEST_POSITION = 10**12  # shares; more than any company has


class OwnAdjustment(Exception):
    """Nobody decides on an adjustment that they asked for, or that is to their own account."""


class DecidedAlready(Exception):
    """The adjustment was approved or declined before."""


class PositionTooLarge(Exception):
    """The account would hold more shares than an account can."""


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
    """Ask for cash or shares to be moved into an account (change > 0) or out of it; nothing moves. Again: another one.

    change: not zero; USD, four digits at most, or with a ticker whole shares. price: what an added share counts as
    bought for, USD, zero or more; where shares are added, and only there. reason_code: an Adjustment.Reason;
    reason: in words.
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
    """Approve an adjustment, which posts it in the same transaction, or decline it. Again: DecidedAlready.

    Raises OwnAdjustment, DecidedAlready; InsufficientFunds, InsufficientShares (it would take more than is available:
    what a trade in flight holds stays); BalanceTooLarge, PositionTooLarge; then nothing has changed.
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
            if adjustment.ticker == CASH:
                _move_cash(books[customer_id], adjustment)
            else:
                books.load_shares([(adjustment.customer_id, adjustment.ticker)])
                _move_shares(books[customer_id], adjustment)
            books.write()
        Adjustment.objects.filter(id=adjustment.id).update(approved=approve, decided_by=by, decided_at=Now())
    adjustment.refresh_from_db()
    return adjustment


def _move_cash(account: Account, adjustment: Adjustment) -> None:
    if account.amount + adjustment.change > LARGEST_AMOUNT:
        raise BalanceTooLarge
    account.move_cash(Posting.Kind.ADJUSTMENT, adjustment.id, adjustment.change)


def _move_shares(account: Account, adjustment: Adjustment) -> None:
    shares, change = account.shares_of(adjustment.ticker), int(adjustment.change)
    if -change > shares.available:
        raise InsufficientShares
    if shares.quantity + change > LARGEST_POSITION:
        raise PositionTooLarge
    if adjustment.price is not None:
        cost = shares.average_price * shares.quantity + adjustment.price * change
        shares.average_price = money(cost / (shares.quantity + change))
    shares.quantity += change
    account.tickers_touched.add(adjustment.ticker)
    account.movements.append(
        Movement(
            account.customer_id,
            adjustment.ticker,
            Posting.Kind.ADJUSTMENT,
            adjustment.id,
            Decimal(change),
            Decimal(shares.quantity),
            adjustment.price,
        )
    )
