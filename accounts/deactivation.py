"""Deactivation: staff keep somebody out of an account without closing it, and let them in again."""

from allauth.account.adapter import get_adapter
from django.db import transaction

from accounts.models import Customer
from accounts.revocation import Cause, revoke_access


class AccountIsClosed(Exception):
    """A closed account can't be reactivated."""


def deactivate(customer: Customer) -> bool:
    """Deactivate an account: nobody can sign in, all access ends, and the owner gets an email.

    Waiting trades still execute, and the books stay as they are.

    Idempotent: yes. A second call changes nothing and sends no email.

    Returns:
        Whether it was active before.
    """
    with transaction.atomic(durable=True):
        changed = Customer.objects.filter(pk=customer.pk, is_active=True).update(is_active=False)
        if changed:
            revoke_access(customer, Cause.DEACTIVATED)
    return bool(changed)


def reactivate(customer: Customer) -> bool:
    """Reactivate an account: its owner can sign in again and gets an email. Tokens and webhooks stay ended.

    Idempotent: yes. A second call changes nothing and sends no email.

    Returns:
        Whether it was deactivated before.

    Raises:
        AccountIsClosed: Its owner has closed it for good.
    """
    with transaction.atomic(durable=True):
        row = Customer.objects.filter(pk=customer.pk)
        if row.exclude(closed_at=None).exists():
            raise AccountIsClosed
        changed = row.filter(is_active=False, closed_at=None).update(is_active=True)
        if changed:
            get_adapter().send_mail("account/email/account_reactivated", customer.email, {"user": customer})
    return bool(changed)
