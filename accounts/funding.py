"""Funding: deposits and withdrawals. The bank is a stand-in, so a transfer arrives at once."""

from decimal import Decimal

import structlog
from django.db import IntegrityError, transaction

from accounts import notices
from accounts.account import BalanceTooLarge, InsufficientFunds
from accounts.closing import is_closed
from accounts.freezes import WithdrawalsFrozen, is_frozen
from accounts.ledger import Books, open_books
from accounts.models import Posting, Transfer
from accounts.settlement import UnsettledFunds
from web.templatetags.figures import usd
from web.timezones import eastern_today

__all__ = [
    "AccountClosed",
    "BalanceTooLarge",
    "InsufficientFunds",
    "TransferKeyReused",
    "UnsettledFunds",
    "WithdrawalsFrozen",
    "deposit",
    "log_transfer",
    "withdraw",
]

log = structlog.get_logger()


class AccountClosed(Exception):
    """The account is closed, so nothing can be deposited into it."""


class TransferKeyReused(Exception):
    """The customer used this idempotency key before, for a transfer with different terms."""


def deposit(customer_id: int, amount: Decimal, key: str | None = None) -> tuple[Posting, bool]:
    """Deposit cash; return the posting, and whether an earlier call made it.

    Idempotent: with a key. The same key and amount return the first posting.

    Args:
        customer_id: The owner of the account.
        amount: USD, above zero, with up to four decimals.
        key: The customer's idempotency key.

    Raises:
        AccountClosed: The account is closed.
        BalanceTooLarge: The account would hold more cash than an account can.
        TransferKeyReused: The key belongs to a transfer with different terms.
    """
    return _transfer(customer_id, Transfer.Type.DEPOSIT, amount, amount, key)


def withdraw(customer_id: int, amount: Decimal, key: str | None = None) -> tuple[Posting, bool]:
    """Withdraw cash; return the posting, and whether an earlier call made it. Cash on hold can't be withdrawn.

    Idempotent: with a key. The same key and amount return the first posting.

    Args:
        customer_id: The owner of the account.
        amount: USD, above zero, with up to four decimals.
        key: The customer's idempotency key.

    Raises:
        WithdrawalsFrozen: Staff have frozen withdrawals from this account.
        InsufficientFunds: The amount is more than the available cash.
        UnsettledFunds: The amount is available, but a part of it has not settled yet.
        TransferKeyReused: The key belongs to a transfer with different terms.
    """
    return _transfer(customer_id, Transfer.Type.WITHDRAWAL, amount, -amount, key)


def log_transfer(posting: Posting) -> None:
    """Log a transfer that a customer has made. `lost_trades` finds it if a restored database lacks it."""
    terms = {"type": posting.kind, "amount": str(abs(posting.change))}
    log.info("transferred", transfer=str(posting.cause), customer=posting.customer_id, **terms)


def _transfer(
    customer_id: int, type: Transfer.Type, amount: Decimal, change: Decimal, key: str | None
) -> tuple[Posting, bool]:
    if key and (before := _find(customer_id, type, amount, key)):
        return before, True
    try:
        with transaction.atomic(durable=True):
            books = open_books([customer_id])
            if type == Transfer.Type.WITHDRAWAL and is_frozen(customer_id):
                raise WithdrawalsFrozen
            if type == Transfer.Type.WITHDRAWAL:
                _check_settled(books, customer_id, amount)
            if type == Transfer.Type.DEPOSIT and is_closed(customer_id):
                raise AccountClosed
            transfer = Transfer(customer_id=customer_id, type=type, amount=amount, idempotency_key=key)
            books[customer_id].move_cash(type, transfer.id, change)
            transfer.save(force_insert=True)
            _note(transfer)
            books.write()
    except IntegrityError:
        # Two requests with this key arrived at once, and the other one made the transfer.
        if key and (before := _find(customer_id, type, amount, key)):
            return before, True
        raise
    return Posting.objects.get(cause=transfer.id), False


def _check_settled(books: Books, customer_id: int, amount: Decimal) -> None:
    cash = books.cash_of([customer_id], eastern_today())[customer_id]
    if amount <= cash.available and (settles_on := cash.settled_from(amount)):
        raise UnsettledFunds(settles_on)


def _find(customer_id: int, type: Transfer.Type, amount: Decimal, key: str) -> Posting | None:
    """Return the posting of the transfer with this key, if there is one.

    Raises:
        TransferKeyReused: The transfer has different terms.
    """
    transfer = Transfer.objects.filter(customer_id=customer_id, idempotency_key=key).first()
    if transfer is None:
        return None
    if (transfer.type, transfer.amount) != (type, amount):
        raise TransferKeyReused
    return Posting.objects.get(cause=transfer.id)


def _note(transfer: Transfer) -> None:
    is_deposit = transfer.type == Transfer.Type.DEPOSIT
    amount = usd(transfer.amount)
    notices.enter(
        transfer.customer_id,
        notices.Kind.TRANSFERS,
        transfer.id,
        f"{'Deposit' if is_deposit else 'Withdrawal'} of {amount}",
        f"{amount} {'arrived from' if is_deposit else 'went to'} the stand-in bank.",
    )
