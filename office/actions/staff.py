"""Actions on members of staff, their roles, and their second factors."""

from django.core.exceptions import ValidationError

from accounts.models import Customer
from accounts.sign_ins import end_sessions
from office import roles
from office.access import has_second_factor, remove_second_factors
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import NewStaffForm, ReasonForm, StaffForm
from office.actions.targets import STAFF, STAFF_MEMBER
from office.roles import Power, Role


def _appoint(context: ActionContext) -> str:
    data = context.data
    try:
        staff = roles.appoint(data["email"], Role(data["role"]), name=data["name"])
    except ValidationError as error:
        raise ActionRefused(error.messages[0]) from None
    return f"{staff.email} is now staff. The owner of a new account sets a password with “Forgot your password?”."


def _set_roles(context: ActionContext) -> str:
    _refuse_own_account(context)
    new_roles = [Role(role) for role in context.data["roles"]]
    roles.set_roles(context.target, new_roles)
    if not new_roles:
        end_sessions(context.target.id)
        return f"{context.target.email} is no longer staff."
    return f"{context.target.email} now has these roles: {', '.join(new_roles)}."


def _reset_second_factor(context: ActionContext) -> str:
    _refuse_own_account(context)
    remove_second_factors(context.target)
    end_sessions(context.target.id)
    return f"{context.target.email} must set up a new second factor at the next sign-in."


def _refuse_own_account(context: ActionContext) -> None:
    if context.target.id == context.staff.id:
        raise ActionRefused("Somebody else must change your own roles and second factor.")


def _current_roles(staff: Customer) -> dict[str, list[str]]:
    return {"roles": sorted(roles.roles_of(staff))}


ACTIONS = (
    Action("appoint", "Add a member of staff", Power.STAFF, STAFF, _appoint, NewStaffForm, "person_add"),
    Action(
        "set-roles", "Change roles", Power.STAFF, STAFF_MEMBER, _set_roles, StaffForm, "badge", initial=_current_roles
    ),
    Action(
        "reset-factor",
        "Reset second factor",
        Power.STAFF,
        STAFF_MEMBER,
        _reset_second_factor,
        ReasonForm,
        "lock_reset",
        danger=True,
        offered_for=has_second_factor,
    ),
)
