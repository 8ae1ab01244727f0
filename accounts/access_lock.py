"""The lock under which tokens and webhooks are created and ended, and watchlists created: the customer's row.

A request that was let in may still be running when the access that let it in ends. What it creates after that would
outlive the ending. So creating and ending take the same lock, and creating checks under it that the access still holds.
Under the lock, simultaneous requests can't create more than a customer may have.
"""

from typing import Any
from uuid import UUID

from django.db.models import F

from accounts.models import Customer, Token


class AccessEnded(Exception):
    """The access with which the request was let in has ended in the meantime."""


def lock_customer(customer_id: int) -> None:
    """Wait for requests that create or end what this lock is for, and make later ones of this customer wait.

    Needs a transaction, and lasts until its end.
    """
    Customer.objects.filter(pk=customer_id).update(is_active=F("is_active"))


def confirm_sign_in(customer: Any) -> None:
    """Take the lock, and check that a customer could still sign in as when `customer` was read.

    Raises:
        AccessEnded: The password or the email address has changed, or the account was deactivated or closed.
    """
    same = Customer.objects.filter(pk=customer.pk, password=customer.password, email=customer.email, is_active=True)
    if not same.update(is_active=True):
        raise AccessEnded


def confirm_token(customer_id: int, token_id: UUID) -> None:
    """Take the lock, and check that a token of this customer still exists.

    Raises:
        AccessEnded: It was revoked.
    """
    lock_customer(customer_id)
    if not Token.objects.filter(customer_id=customer_id, pk=token_id).exists():
        raise AccessEnded
