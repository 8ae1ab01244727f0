"""Revocation: which access ends, and which email the owner gets, when an account's security changes.

`POLICY` has the rules; docs/reference/security.md shows them as a table. Event streams and sockets end within seconds
after the token or the session that opened them, so they need no rules of their own.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

import structlog
from allauth.account.adapter import get_adapter
from allauth.account.signals import email_changed, password_changed, password_reset, password_set
from allauth.core import context as allauth_context
from allauth.mfa.models import Authenticator
from django.db import connection
from django.db.models.signals import post_delete, post_save
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest

from accounts import tokens
from accounts.access_lock import lock_customer
from accounts.models import Customer
from accounts.sign_ins import end_sessions

log = structlog.get_logger()


class Cause(Enum):
    """An event that may end access to an account."""

    PASSWORD_RESET = "the password was reset by mail"  # noqa: S105
    PASSWORD_CHANGED = "the password was changed or set"  # noqa: S105
    EMAIL_CHANGED = "the email address was changed"
    FACTOR_CHANGED = "a second factor was added or removed"
    TOKENS_ENDED = "staff ended all tokens"
    SESSIONS_ENDED = "staff ended all sessions"
    DEACTIVATED = "staff deactivated the account"
    CLOSED = "the customer closed the account"
    TRADING_FROZEN = "staff froze trading"
    WITHDRAWALS_FROZEN = "staff froze withdrawals"


class Sessions(Enum):
    """The sessions that end."""

    NONE = "none"
    OTHERS = "all but the one in which it was done"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends, and the email about it.

    `programs` means all tokens and all webhooks, whether they were created by a token or on a page. `because` completes
    the email's first sentence. The email is sent only if something ended, unless `always` is set.
    """

    programs: bool
    sessions: Sessions
    because: str
    mail: str = "account/email/access_revoked"
    always: bool = False


# A frozen account keeps its access: its owner can still see everything, and only what is frozen is refused. To keep an
# intruder out, staff deactivate the account.
POLICY = {
    Cause.PASSWORD_RESET: Ends(True, Sessions.ALL, "your password was reset"),
    Cause.PASSWORD_CHANGED: Ends(True, Sessions.OTHERS, "your password was changed"),
    Cause.EMAIL_CHANGED: Ends(True, Sessions.OTHERS, "your email address was changed"),
    Cause.FACTOR_CHANGED: Ends(False, Sessions.OTHERS, "two-factor authentication was changed"),
    Cause.TOKENS_ENDED: Ends(True, Sessions.NONE, "our staff ended the access of programs"),
    Cause.SESSIONS_ENDED: Ends(False, Sessions.ALL, "our staff ended all sessions"),
    Cause.DEACTIVATED: Ends(True, Sessions.ALL, "we deactivated it", "account/email/account_deactivated", always=True),
    Cause.CLOSED: Ends(True, Sessions.ALL, "you closed it", "account/email/account_closed", always=True),
    Cause.TRADING_FROZEN: Ends(False, Sessions.NONE, "trading", "account/email/account_frozen", always=True),
    Cause.WITHDRAWALS_FROZEN: Ends(False, Sessions.NONE, "withdrawals", "account/email/account_frozen", always=True),
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How many tokens, webhooks, and sessions ended."""

    tokens: int = 0
    webhooks: int = 0
    sessions: int = 0


def revoke_access(
    customer: Customer, cause: Cause, *, keep_session: str | None = None, also_tell: Collection[str] = ()
) -> Ended:
    """End the access that the policy ends for this cause, and email the owner. Needs a transaction.

    Idempotent: yes. A second call finds nothing to end.

    Args:
        customer: The owner of the account.
        cause: The event.
        keep_session: The key of the session in which the event happened.
        also_tell: More email addresses that get the email.
    """
    policy = POLICY[cause]
    webhooks = ended_tokens = sessions = 0
    if policy.programs:
        lock_customer(customer.pk)
        reason = f"It ended because {policy.because}."
        answers: list[tuple[Any, Any]] = tokens.end_webhooks.send(Customer, customer_id=customer.pk, reason=reason)
        webhooks = sum(count for _, count in answers)
        ended_tokens = tokens.end_all(customer.pk)
    if policy.sessions is not Sessions.NONE:
        sessions = end_sessions(customer.pk, keep_session if policy.sessions is Sessions.OTHERS else None)
    ended = Ended(ended_tokens, webhooks, sessions)
    log.info("access revoked", customer=customer.pk, cause=cause.value, ended=ended)
    if policy.always or ended != Ended():
        context = {"because": policy.because, "ended": ended, "user": customer}
        for email in dict.fromkeys([customer.email, *also_tell]):
            get_adapter().send_mail(policy.mail, email, context)
    return ended


def mail_frozen(customer: Customer, cause: Cause, is_on: bool) -> None:
    """Apply the policy for a freeze, or tell the owner by email that it was lifted."""
    if is_on:
        revoke_access(customer, cause)
    else:
        context = {"because": POLICY[cause].because, "user": customer}
        get_adapter().send_mail("account/email/account_unfrozen", customer.email, context)


def connect() -> None:
    """Connect the signals after which the policy revokes access."""
    password_reset.connect(_password_reset, dispatch_uid="revocation")
    password_changed.connect(_password_changed, dispatch_uid="revocation")
    password_set.connect(_password_changed, dispatch_uid="revocation")
    email_changed.connect(_email_changed, dispatch_uid="revocation")
    # allauth sends its own signals for these after the commit.
    post_save.connect(_factor_saved, sender=Authenticator, dispatch_uid="revocation")
    post_delete.connect(_factor_changed, sender=Authenticator, dispatch_uid="revocation")


def _revoke_with_change(customer: Customer, cause: Cause, **details: Any) -> None:
    """Revoke access in the transaction of the change that causes it.

    Raises:
        TransactionManagementError: There is none: the page of the change belongs among `security_changes.PAGES`.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError(f"{cause} and what it revokes must be one transaction")
    revoke_access(customer, cause, **details)


def _password_reset(sender: Any, request: HttpRequest, user: Customer, **_: Any) -> None:
    _revoke_with_change(user, Cause.PASSWORD_RESET)


def _password_changed(sender: Any, request: HttpRequest, user: Customer, **_: Any) -> None:
    _revoke_with_change(user, Cause.PASSWORD_CHANGED, keep_session=request.session.session_key)


def _email_changed(sender: Any, request: HttpRequest, user: Customer, from_email_address: Any, **_: Any) -> None:
    before = [from_email_address.email] if from_email_address else []  # its owner must be told too
    _revoke_with_change(user, Cause.EMAIL_CHANGED, keep_session=request.session.session_key, also_tell=before)


def _factor_saved(sender: Any, instance: Authenticator, created: bool, **_: Any) -> None:
    if created:  # otherwise, it was used
        _factor_changed(sender, instance)


def _factor_changed(sender: Any, instance: Authenticator, **_: Any) -> None:
    if request := allauth_context.request:  # otherwise a command created it, before the customer's first sign-in
        _revoke_with_change(instance.user, Cause.FACTOR_CHANGED, keep_session=request.session.session_key)
