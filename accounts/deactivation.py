"""Deactivate an account, and reactivate it: staff shut somebody out without closing the account."""

from allauth.account.adapter import get_adapter
from django.db import transaction

from accounts.models import Customer
from accounts.revocation import Cause, revoke_access


class AccountIsClosed(Exception):
    """A closed account is not reactivated."""


def deactivate(customer: Customer) -> bool:
    """Let nobody sign in to an account, end all access to it, and tell its owner by mail.

    Trades that wait go on, and the books stay as they are.

    Idempotent: a second call changes nothing and sends no mail.

    Returns:
        Whether it was active before.
    """
    with transaction.atomic(durable=True):
        changed = Customer.objects.filter(pk=customer.pk, is_active=True).update(is_active=False)
        if changed:
            revoke_access(customer, Cause.DEACTIVATED)
    return bool(changed)


def reactivate(customer: Customer) -> bool:
    """Let the owner of a deactivated account sign in again, and tell them by mail. Tokens and webhooks stay ended.

    Idempotent: a second call changes nothing and sends no mail.

    Returns:
        Whether it was deactivated before.

    Raises:
        AccountIsClosed: Its owner has closed it, for good.
    """
    with transaction.atomic(durable=True):
        mine = Customer.objects.filter(pk=customer.pk)
        if mine.exclude(closed_at=None).exists():
            raise AccountIsClosed
        changed = mine.filter(is_active=False, closed_at=None).update(is_active=True)
        if changed:
            get_adapter().send_mail("account/email/account_reactivated", customer.email, {"user": customer})
    return bool(changed)
