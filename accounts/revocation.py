"""Revoke tokens, with the webhooks they made, and end sessions when an account's security changes.

| what happened | tokens | sessions |
| --- | --- | --- |
| the password was reset by mail | all | all |
| the password was changed or set | all | all but the one it was changed in |
| the email address was changed | all | all but the one it was changed in |
| a second factor was added or removed | none | all but the one it was changed in |

While an account is deactivated, neither its tokens nor its sessions work.

A password that somebody else knew must not live on in a token that they made with it. The owner is told by mail what
has ended.
"""

from typing import Any

import structlog
from allauth.account.adapter import get_adapter
from allauth.account.signals import email_changed, password_changed, password_reset, password_set
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from allauth.usersessions.models import UserSession
from django.http import HttpRequest

from accounts import tokens
from accounts.models import Customer

log = structlog.get_logger()


def revoke_access(customer: Customer, *, why: str, tokens_too: bool = True, keep_session: str | None = None) -> None:
    """End a customer's sessions, and their tokens unless `tokens_too` is false, and tell them by mail if any ended.

    Idempotent: a second call finds nothing to end, and sends no mail.

    Args:
        why: What happened, as the mail says it: "your password was reset".
        keep_session: The key of the session that goes on.
    """
    ended_tokens = tokens.end_all(customer.pk) if tokens_too else 0
    sessions = list(UserSession.objects.filter(user_id=customer.pk).exclude(session_key=keep_session or ""))
    for session in sessions:
        session.end()
    log.info("access revoked", customer=customer.pk, why=why, tokens=ended_tokens, sessions=len(sessions))
    if ended_tokens:
        context = {"why": why, "tokens": ended_tokens, "user": customer}
        get_adapter().send_mail("account/email/access_revoked", customer.email, context)


def connect() -> None:
    """Begin to revoke access as the table above says."""
    password_reset.connect(_password_reset, dispatch_uid="revocation")
    password_changed.connect(_password_changed, dispatch_uid="revocation")
    password_set.connect(_password_changed, dispatch_uid="revocation")
    email_changed.connect(_email_changed, dispatch_uid="revocation")
    for signal in (authenticator_added, authenticator_removed, authenticator_reset):
        signal.connect(_factor_changed, dispatch_uid="revocation")


def _password_reset(sender: Any, request: HttpRequest, user: Customer, **_: Any) -> None:
    revoke_access(user, why="your password was reset")


def _password_changed(sender: Any, request: HttpRequest, user: Customer, **_: Any) -> None:
    revoke_access(user, why="your password was changed", keep_session=request.session.session_key)


def _email_changed(sender: Any, request: HttpRequest, user: Customer, **_: Any) -> None:
    revoke_access(user, why="your email address was changed", keep_session=request.session.session_key)


def _factor_changed(sender: Any, request: HttpRequest, user: Customer, **_: Any) -> None:
    revoke_access(
        user,
        why="two-factor authentication was changed",
        tokens_too=False,
        keep_session=request.session.session_key,
    )
