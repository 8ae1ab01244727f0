"""Short-lived tickets with which a page opens its event stream. A ticket is bound to the session that requested it.

The stream may be on another host, to which the browser sends no cookie. A ticket identifies the session without
revealing its key, and the stream ends when the session does.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core import signing
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts.models import Customer

SECONDS = 60  # how long a ticket can be used
SALT = "page stream"


@dataclass(frozen=True, slots=True)
class PageGrant:
    """Permission to follow the events of a customer's account for as long as the session with this id lasts."""

    id: int
    customer_id: int
    customer: Customer
    scopes: list[str] = field(default_factory=lambda: ["read"])
    own_reads_a_minute: int | None = None
    own_orders_a_minute: int | None = None


def issue(request: HttpRequest) -> str | None:
    """Return a ticket for the session of the request; None if it is not an allauth user session."""
    key = request.session.session_key or ""
    session = UserSession.objects.filter(session_key=key, user_id=request.user.pk).first()
    return signing.dumps(session.pk, salt=SALT) if session else None


def grant_of(ticket: str) -> PageGrant | None:
    """Return the grant of a ticket; None if the ticket is forged or too old, or its session has ended."""
    try:
        number = signing.loads(ticket, salt=SALT, max_age=SECONDS)
    except signing.BadSignature:
        return None
    session = _open_sessions([number]).select_related("user").first()
    return PageGrant(session.pk, session.user_id, session.user) if session else None


def valid_of(session_ids: Collection[int]) -> set[int]:
    """Return those of these sessions that have not ended."""
    return set(_open_sessions(session_ids).values_list("pk", flat=True)) if session_ids else set()


def _open_sessions(session_ids: Collection[int]):  # type: ignore[no-untyped-def]
    is_open = Session.objects.filter(session_key=OuterRef("session_key"), expire_date__gt=Now())
    return UserSession.objects.filter(Exists(is_open), pk__in=session_ids, user__is_active=True)
