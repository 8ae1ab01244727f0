"""The page of staff: their roles, powers, second factors, and sessions."""

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.models import Customer
from office.access import SECOND_FACTORS
from office.actions.door import available_actions
from office.actions.targets import STAFF, STAFF_MEMBER
from office.roles import POWERS, Power, Role, may, roles_of

STAFF_MAX = 500


def page(request: HttpRequest) -> HttpResponse:
    """Show every member of staff, and the table of roles."""
    if not may(request.user, Power.STAFF):
        raise PermissionDenied
    people = list(Customer.objects.filter(is_staff=True).order_by("email").prefetch_related("groups")[:STAFF_MAX])
    ids = [person.id for person in people]
    with_factor = set(
        Authenticator.objects.filter(user_id__in=ids, type__in=SECOND_FACTORS).values_list("user_id", flat=True)
    )
    session_counts = UserSession.objects.filter(user_id__in=ids).order_by().values_list("user_id").annotate(Count("id"))
    sessions = dict(session_counts)
    context = admin.site.each_context(request) | {
        "title": "Staff",
        "staff": [
            {
                "person": person,
                "roles": sorted(roles_of(person)),
                "has_factor": person.id in with_factor,
                "sessions": sessions.get(person.id, 0),
                "actions": available_actions(request, STAFF_MEMBER, person) if person.id != request.user.pk else [],
            }
            for person in people
        ],
        "roles": list(Role),
        "powers": [(power.label, [role in POWERS[power] for role in Role]) for power in Power],
        "actions": available_actions(request, STAFF, None),
    }
    return TemplateResponse(request, "office/staff.html", context)
