"""Cash in and out of the brokerage. The bank is a stand-in: a transfer arrives at once."""

from decimal import Decimal

from django.db import IntegrityError, transaction

from accounts.freezes import WithdrawalsFrozen, is_frozen
from accounts.ledger import LARGEST_AMOUNT, InsufficientFunds, open_books
from accounts.models import Posting, Transfer

__all__ = ["BalanceTooLarge", "InsufficientFunds", "TransferKeyReused", "WithdrawalsFrozen", "deposit", "withdraw"]


class BalanceTooLarge(Exception):
    """The account would hold more cash than an account can."""


class TransferKeyReused(Exception):
    """The customer used this idempotency key before, for a transfer with other terms."""


def deposit(customer_id: int, amount: Decimal, key: str | None = None) -> tuple[Posting, bool]:
    """Bring cash in; the posting, and whether it was there before. The same key and amount again: the first posting.

    amount: USD, above zero, four digits at most. Raises BalanceTooLarge, TransferKeyReused.
    """
    return _transfer(customer_id, Transfer.Type.DEPOSIT, amount, amount, key)


def withdraw(customer_id: int, amount: Decimal, key: str | None = None) -> tuple[Posting, bool]:
    """Take cash out; the posting, and whether it was there before. What a trade in flight holds can't be withdrawn.

    amount: USD, above zero, four digits at most. Raises WithdrawalsFrozen, InsufficientFunds, TransferKeyReused.
    """
    return _transfer(customer_id, Transfer.Type.WITHDRAWAL, amount, -amount, key)


def _transfer(
    customer_id: int, type: Transfer.Type, amount: Decimal, change: Decimal, key: str | None
) -> tuple[Posting, bool]:
    if key and (before := _made_before(customer_id, type, amount, key)):
        return before, True
    try:
        with transaction.atomic(durable=True):
            books = open_books([customer_id])
            if type == Transfer.Type.WITHDRAWAL and is_frozen(customer_id):
                raise WithdrawalsFrozen
            if books[customer_id].amount + change > LARGEST_AMOUNT:
                raise BalanceTooLarge
            transfer = Transfer(customer_id=customer_id, type=type, amount=amount, idempotency_key=key)
            transfer.save(force_insert=True)
            books[customer_id].move_cash(type, transfer.id, change)
            books.write()
    except IntegrityError:
        # The same key came in twice at once: the other one made the transfer.
        if key and (before := _made_before(customer_id, type, amount, key)):
            return before, True
        raise
    return Posting.objects.get(cause=transfer.id), False


def _made_before(customer_id: int, type: Transfer.Type, amount: Decimal, key: str) -> Posting | None:
    transfer = Transfer.objects.filter(customer_id=customer_id, idempotency_key=key).first()
    if transfer is None:
        return None
    if (transfer.type, transfer.amount) != (type, amount):
        raise TransferKeyReused
    return Posting.objects.get(cause=transfer.id)
