"""Who gets into the back office: staff with a role, with a second factor given in this session, for a short while."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.usersessions.models import UserSession
from csp.middleware import CSPMiddleware
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.db import Error
from django.http import HttpRequest, HttpResponse

from accounts.models import SignIn
from accounts.sign_ins import address_of, of_staff
from office import audit
from office.audit import Actor
from office.models import AuditEntry

PREFIX = "/admin/"
REFRESHES_ITSELF = "/admin/desk/"  # what a browser asks for by itself does not keep a session alive
IDLE_SECONDS_MAX = 30 * 60
SESSION_SECONDS_MAX = 10 * 3600  # one shift
SEEN_EVERY_SECONDS = 60  # how fine idleness is measured
SEEN, SINCE = "office_seen_at", "office_since"


def actor_of(request: HttpRequest) -> Actor:
    """Who acts in this request, and from where."""
    user: Any = request.user
    return Actor(user.pk, user.email if user.is_authenticated else "nobody", address_of(request))


def second_factor_given(request: HttpRequest) -> bool:
    """Whether a code was given in this session."""
    return any(record.get("method") == "mfa" for record in get_authentication_records(request, request.user))


def has_second_factor(user: Any) -> bool:
    """Whether this member of staff has set one up."""
    return Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists()


class ContentPolicy(CSPMiddleware):
    """The site's content policy; the back office's pages alone may evaluate, which its widgets (Alpine) do.

    An answer to a program is no page: nothing in it may load or do anything.
    """

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        if request.path_info.startswith("/api/v1/"):
            response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
            return response
        if request.path_info.startswith(PREFIX) and not hasattr(response, "_csp_update"):
            response._csp_update = {
                "script-src": ["'self'", "'unsafe-eval'"],
                "style-src": ["'self'", "'unsafe-inline'"],
            }
        return super().process_response(request, response)


class StaffSession:
    """Middleware: a session in the back office ends when it was idle for IDLE_SECONDS_MAX, or after a shift."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(PREFIX):
            with suppress(Error):  # the database is away, as the page itself will find
                self._look_at_the_clock(request)
        return self.get_response(request)

    def _look_at_the_clock(self, request: HttpRequest) -> None:
        if not request.user.is_authenticated:
            return
        now = int(time.time())
        seen, since = request.session.get(SEEN, now), request.session.get(SINCE, now)
        if now - seen > IDLE_SECONDS_MAX or now - since > SESSION_SECONDS_MAX:
            logout(request)
        elif request.path_info != REFRESHES_ITSELF and (SEEN not in request.session or now - seen > SEEN_EVERY_SECONDS):
            request.session[SEEN] = now
            request.session.setdefault(SINCE, since)


def connect() -> None:
    """Note staff's sign-ins in the audit log too; a second factor that was just set up has been given."""
    authenticator_added.connect(_factor_added, dispatch_uid="office")
    user_logged_in.connect(_signed_in, dispatch_uid="office")
    of_staff.connect(_sign_in_kept, dispatch_uid="office")


def _factor_added(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    record_authentication(request, user, "mfa", type="totp")
    if user.is_staff:
        audit.record(actor_of(request), "set up second factor", AuditEntry.Outcome.DONE)


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    if user.is_staff:
        request.session[SINCE] = request.session[SEEN] = int(time.time())
        request.session.set_expiry(SESSION_SECONDS_MAX)


AS_AUDITED = {
    SignIn.Kind.IN: ("sign in", AuditEntry.Outcome.DONE),
    SignIn.Kind.WRONG_PASSWORD: ("sign in", AuditEntry.Outcome.REFUSED),
    SignIn.Kind.WRONG_CODE: ("sign in", AuditEntry.Outcome.REFUSED),
    SignIn.Kind.TOKEN: ("make token", AuditEntry.Outcome.DONE),
    SignIn.Kind.ENDED: ("sign out", AuditEntry.Outcome.DONE),
    SignIn.Kind.EXPIRED: ("sign out", AuditEntry.Outcome.DONE),
}


def _sign_in_kept(sender: Any, sign_in: SignIn, **_: Any) -> None:
    action, outcome = AS_AUDITED[SignIn.Kind(sign_in.kind)]
    staff = Actor(sign_in.customer_id, sign_in.customer.email, sign_in.address)
    audit.record(staff, action, outcome, subject=sign_in.device, reason=sign_in.get_kind_display())


def open_sessions(customer_id: int) -> int:
    """How many sessions somebody has signed in to."""
    return UserSession.objects.filter(user_id=customer_id).count()
