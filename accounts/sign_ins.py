"""The sign-in history: record sign-ins, failed attempts, and ended sessions, with time, address, device and factors.

django-allauth signs people in and sends the signals that are recorded here. Entries outlive the session.
"""

from hashlib import sha256
from typing import Any

import structlog
from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.signals import authentication_failed
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import PermissionDenied
from django.db import Error, connection
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone

from accounts import notices
from accounts.models import SIGN_INS_KEPT_DAYS, Customer, SignIn, normal_email
from web.templatetags.figures import device as device_name

DEVICE_LENGTH_MAX = 300
log = structlog.get_logger()
staff_signed_in = Signal()  # sent with `sign_in` after an entry about a member of staff


def address_of(request: HttpRequest) -> str:
    """Return the client's network address, as reported by proxies that we trust."""
    try:
        return str(get_adapter().get_client_ip(request))
    except PermissionDenied:
        return ""


def sign_ins_of(customer_id: int) -> QuerySet[SignIn]:
    """Return a customer's sign-in history, newest first."""
    return SignIn.objects.filter(customer_id=customer_id).order_by("-id")


def end_sessions(customer_id: int, keep_session: str | None = None) -> int:
    """End every session of a customer or member of staff except the one with this key; return how many ended."""
    ended = 0
    for session in list(UserSession.objects.filter(user_id=customer_id).exclude(session_key=keep_session or "")):
        ended += bool(session.exists())  # a session that got a new key leaves a row with the old one
        session.end()
    return ended


def note_token(request: HttpRequest, customer: Customer) -> None:
    """Record that somebody created a token with their password, without signing in."""
    _keep(SignIn.Kind.TOKEN, customer, request)


def connect() -> None:
    """Connect the signals that are recorded: sign-ins, failed attempts and ended sessions."""
    user_logged_in.connect(_signed_in, dispatch_uid="sign_ins")
    user_login_failed.connect(_password_was_wrong, dispatch_uid="sign_ins")
    authentication_failed.connect(_code_was_wrong, dispatch_uid="sign_ins")
    user_logged_out.connect(_signed_out, dispatch_uid="sign_ins")
    post_delete.connect(_session_ended, sender=UserSession, dispatch_uid="sign_ins")


def _note_new_device(request: HttpRequest, user: Any) -> None:
    """Notify a customer of a sign-in from a new device, unless it is the customer's first sign-in."""
    device = _plain(request.META.get("HTTP_USER_AGENT", ""))
    earlier = SignIn.objects.filter(customer=user, kind=SignIn.Kind.IN)
    if device and earlier.exists() and not earlier.filter(device=device).exists():
        notices.enter(
            user.pk,
            notices.Kind.SECURITY,
            f"device {_name(device)}",
            "A new device signed in to your account",
            f"{device_name(device)} signed in to your account from {address_of(request) or 'an unknown address'}.",
        )


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    _note_new_device(request, user)
    has_second_factor = any(record.get("method") == "mfa" for record in get_authentication_records(request, user))
    _keep(SignIn.Kind.IN, user, request, second_factor=has_second_factor, session=_name(request.session.session_key))


def _password_was_wrong(sender: Any, credentials: Any, request: HttpRequest | None = None, **_: Any) -> None:
    if request is None:
        return
    email = normal_email(str(credentials.get("email") or credentials.get("username") or ""))
    device = _plain(request.META.get("HTTP_USER_AGENT", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(INSERT_FAILED_SIGN_IN, [address_of(request)[:64], device, email.replace("\x00", "")])
            row = cursor.fetchone()
        if row and row[1]:
            _announce(SignIn.objects.select_related("customer").get(id=row[0]))
    except Error as error:  # the database is down or read-only; the attempt is refused in any case
        log.warning("a failed sign-in was not recorded", error=repr(error))


def _code_was_wrong(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    _keep(SignIn.Kind.WRONG_CODE, user, request)


def _signed_out(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:  # allauth leaves the row, which would look like an open session
        UserSession.objects.filter(user_id=user.pk, session_key=request.session.session_key or "").delete()


def _session_ended(sender: Any, instance: UserSession, **_: Any) -> None:
    age_seconds = (timezone.now() - instance.created_at).total_seconds()
    _announce(
        SignIn.objects.create(
            customer=instance.user,
            kind=SignIn.Kind.EXPIRED if age_seconds >= settings.SESSION_COOKIE_AGE else SignIn.Kind.ENDED,
            address=str(instance.ip),
            device=_plain(instance.user_agent),
            session=_name(instance.session_key),
        )
    )


def _keep(kind: SignIn.Kind, customer: Any, request: HttpRequest, **more: Any) -> None:
    device = _plain(request.META.get("HTTP_USER_AGENT", ""))
    address = address_of(request)[:64]
    _announce(SignIn.objects.create(customer=customer, kind=kind, address=address, device=device, **more))


def _announce(sign_in: SignIn) -> None:
    if sign_in.customer.is_staff:
        staff_signed_in.send(SignIn, sign_in=sign_in)


def _plain(user_agent: str) -> str:
    return user_agent.replace("\x00", "")[:DEVICE_LENGTH_MAX]


def _name(session_key: str | None) -> str:
    """Return a name for a session that does not give access to it."""
    return sha256(session_key.encode()).hexdigest()[:12] if session_key else ""


def forget_old(rows_max: int) -> int:
    """Delete at most `rows_max` entries older than SIGN_INS_KEPT_DAYS; return how many were deleted."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [rows_max, SIGN_INS_KEPT_DAYS])
        return int(cursor.rowcount)


# One statement that never waits for the disk, so that its duration does not show whether the address has an account.
# Attempts with addresses that have no account are not recorded.
INSERT_FAILED_SIGN_IN = """
    WITH lazily AS (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO accounts_signin (customer_id, kind, address, device, second_factor, session)
    SELECT customer.id, 'wrong_password', %s, %s, false, '' FROM accounts_customer AS customer, lazily
    WHERE customer.email = %s
    RETURNING id, (SELECT is_staff FROM accounts_customer AS customer WHERE customer.id = accounts_signin.customer_id)
"""
# Ids increase with time, so this reads only the rows_max oldest rows, however many there are.
FORGET = """
    DELETE FROM accounts_signin WHERE id IN (SELECT id FROM accounts_signin ORDER BY id LIMIT %s)
    AND at < now() - make_interval(days => %s)
"""
