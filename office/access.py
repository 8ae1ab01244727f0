"""Access to the back office: staff need a role and a second factor, and their sessions are short."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

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
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import Customer, SignIn
from accounts.sign_ins import address_of, staff_signed_in
from office import audit
from office.audit import Actor
from office.models import AuditEntry
from office.roles import Power, may
from web.sign_in import not_done

PREFIX = "/admin/"
REFRESHED_BY_SCRIPT = "/admin/desk/"  # requests for it don't keep a session alive, because the page refreshes itself
IDLE_SECONDS_MAX = 30 * 60
SESSION_SECONDS_MAX = 10 * 3600  # one shift
SEEN_EVERY_SECONDS = 60  # how precisely idle time is measured
SECOND_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
ENTERED_LENGTH_MAX = 3_000  # characters of a query string; servers refuse longer URLs
NOT_RECORDED = {"csrfmiddlewaretoken", "confirm"}  # a confirmation must be typed again
SEEN, SINCE = "office_seen_at", "office_since"


def return_url(request: HttpRequest) -> str:
    """Return the URL of the page whose form this request sent. For an action, it includes what was entered."""
    if request.path_info.startswith(f"{PREFIX}do/"):
        entered = request.GET.copy()
        for name, values in request.POST.lists():
            if name not in NOT_RECORDED:
                entered.setlist(name, values)
        query = entered.urlencode()
        return not_done(f"{request.path}?{query}" if query and len(query) <= ENTERED_LENGTH_MAX else request.path)
    page = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, request.is_secure())
    return urlsplit(page)._replace(scheme="", netloc="").geturl() if page and is_ours else PREFIX


def actor_of(request: HttpRequest) -> Actor:
    """Return the person who acts in this request, with the network address."""
    user: Any = request.user
    return Actor(user.pk, user.email if user.is_authenticated else "anonymous", address_of(request))


def staff_of(request: HttpRequest) -> Customer:
    """Return the member of staff who is signed in."""
    return cast(Customer, request.user)


def audit_link(request: HttpRequest, query: str) -> str:
    """Return the URL of the audit log with this filter; empty for staff who may not read it."""
    if not may(request.user, Power.AUDIT):
        return ""
    return f"{reverse('admin:office_auditentry_changelist')}?{query}"


def second_factor_given(request: HttpRequest) -> bool:
    """Return whether a second factor was given in this session."""
    return any(record.get("method") == "mfa" for record in get_authentication_records(request, request.user))


def has_second_factor(user: Any) -> bool:
    """Return whether this member of staff has set up a second factor."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=SECOND_FACTORS).exists())


def next_step(user: Any) -> str:
    """Return the URL name of the page on which this member of staff gives a second factor or sets one up."""
    types = set(Authenticator.objects.filter(user_id=user.pk).values_list("type", flat=True))
    if Authenticator.Type.TOTP in types:
        return "mfa_reauthenticate"
    return "mfa_reauthenticate_webauthn" if Authenticator.Type.WEBAUTHN in types else "mfa_activate_totp"


def remove_second_factors(user: Customer) -> None:
    """Remove every second factor of a member of staff, recovery codes included. Idempotent."""
    Authenticator.objects.filter(user_id=user.pk).delete()


class ContentPolicy(CSPMiddleware):
    """Middleware: the site's content security policy.

    Only pages of the back office may evaluate text as script, because their widgets (Alpine) need it. API responses are
    not pages, so nothing in them may load or run.
    """

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        """Set the policy for this URL."""
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
    """Middleware: end back office sessions that were idle for IDLE_SECONDS_MAX or last longer than a shift."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(PREFIX):
            with suppress(Error):  # the database is unavailable; the page itself will say so
                self._end_if_over(request)
        return self.get_response(request)

    def _end_if_over(self, request: HttpRequest) -> None:
        if not request.user.is_authenticated:
            return
        now = int(time.time())
        seen, since = request.session.get(SEEN, now), request.session.get(SINCE, now)
        if now - seen > IDLE_SECONDS_MAX or now - since > SESSION_SECONDS_MAX:
            logout(request)
        elif request.path_info == REFRESHED_BY_SCRIPT:
            return
        elif SEEN not in request.session or now - seen > SEEN_EVERY_SECONDS:
            request.session[SEEN] = now
            request.session.setdefault(SINCE, since)


def connect() -> None:
    """Connect the receivers that record staff sign-ins and accept a newly set up second factor. Idempotent."""
    authenticator_added.connect(_factor_added, dispatch_uid="office")
    user_logged_in.connect(_signed_in, dispatch_uid="office")
    staff_signed_in.connect(_sign_in_recorded, dispatch_uid="office")


def _factor_added(sender: Any, request: HttpRequest, user: Any, authenticator: Authenticator, **_: Any) -> None:
    record_authentication(request, user, "mfa", type=authenticator.type)
    if user.is_staff:
        audit.record(actor_of(request), "set up second factor", AuditEntry.Outcome.DONE)


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    if user.is_staff:
        request.session[SINCE] = request.session[SEEN] = int(time.time())
        request.session.set_expiry(SESSION_SECONDS_MAX)


# Action and outcome in the audit log for each kind of sign-in.
AUDITED_AS = {
    SignIn.Kind.IN: ("sign in", AuditEntry.Outcome.DONE),
    SignIn.Kind.WRONG_PASSWORD: ("sign in", AuditEntry.Outcome.REFUSED),
    SignIn.Kind.WRONG_CODE: ("sign in", AuditEntry.Outcome.REFUSED),
    SignIn.Kind.TOKEN: ("make token", AuditEntry.Outcome.DONE),
    SignIn.Kind.ENDED: ("sign out", AuditEntry.Outcome.DONE),
    SignIn.Kind.EXPIRED: ("sign out", AuditEntry.Outcome.DONE),
}


def _sign_in_recorded(sender: Any, sign_in: SignIn, **_: Any) -> None:
    action, outcome = AUDITED_AS[SignIn.Kind(sign_in.kind)]
    staff = Actor(sign_in.customer_id, sign_in.customer.email, sign_in.address)
    audit.record(staff, action, outcome, subject=sign_in.device, reason=sign_in.get_kind_display())


def open_sessions(customer_id: int) -> int:
    """Return how many open sessions a customer has."""
    return int(UserSession.objects.filter(user_id=customer_id).count())
