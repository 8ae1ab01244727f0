"""Closing: close an account for good."""

from django.db import transaction
from django.db.models.functions import Now

from accounts import queries
from accounts.ledger import open_books
from accounts.models import Customer
from accounts.revocation import Cause, revoke_access


class AccountNotEmpty(Exception):
    """The account still has cash or a position."""


def close_account(customer: Customer) -> None:
    """Close an account, end its sessions and tokens, and confirm it by email. The books and statements stay.

    Nobody can sign in to a closed account or deposit into it. A trade that is still waiting is rejected when its turn
    comes, because there is no cash and no position.

    Idempotent: yes. A second call changes nothing and sends no email.

    Raises:
        AccountNotEmpty: The account still has cash or a position.
    """
    with transaction.atomic(durable=True):
        # With the books locked, a deposit or a fill is either posted before the closing, or refused after it.
        account = open_books([customer.pk])[customer.pk]
        if account.amount or queries.positions_of(customer.pk).exists():
            raise AccountNotEmpty
        is_open = Customer.objects.filter(pk=customer.pk, closed_at=None)
        if not is_open.update(closed_at=Now(), is_active=False):
            return
        revoke_access(customer, Cause.CLOSED)


def is_closed(customer_id: int) -> bool:
    """Return whether the account is closed. Exact while the caller has its books open."""
    return Customer.objects.filter(pk=customer_id, closed_at__isnull=False).exists()
