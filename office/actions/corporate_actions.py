"""Actions on corporate actions: enter one, or approve or decline one that the exchange has announced."""

from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import CorporateActionForm, ReasonForm
from office.actions.targets import CONTROLS, CORPORATE_ACTION
from office.roles import Power
from trades import corporate_actions
from trades.corporate_actions import CannotApply, NotWaiting
from trades.models import CorporateAction


def _enter(context: ActionContext) -> str:
    terms = {name: value for name, value in context.data.items() if name != "reason"}
    try:
        action = corporate_actions.enter(CorporateAction(**terms), context.by)
    except CannotApply as error:
        raise ActionRefused(str(error)) from None
    return f"Entered and approved: {action}."


def _approve(context: ActionContext) -> str:
    try:
        action = corporate_actions.approve(context.target.id, context.by)
    except CannotApply as error:
        raise ActionRefused(str(error)) from None
    except NotWaiting:
        raise ActionRefused("This was already decided on.") from None
    return f"Approved: {action}."


def _decline(context: ActionContext) -> str:
    try:
        corporate_actions.decline(context.target.id, context.by)
    except NotWaiting:
        raise ActionRefused("This was already decided on.") from None
    return "Declined."


def _is_waiting(action: CorporateAction) -> bool:
    return action.state == CorporateAction.State.ANNOUNCED


ACTIONS = (
    Action(
        "enter-corporate-action",
        "Enter a corporate action",
        Power.ADJUST,
        CONTROLS,
        _enter,
        CorporateActionForm,
        "call_split",
        needs_second=True,
    ),
    Action(
        "approve-corporate-action",
        "Approve it",
        Power.ADJUST,
        CORPORATE_ACTION,
        _approve,
        ReasonForm,
        "check",
        needs_second=True,
        offered_for=_is_waiting,
    ),
    Action(
        "decline-corporate-action",
        "Decline it",
        Power.ADJUST,
        CORPORATE_ACTION,
        _decline,
        ReasonForm,
        "close",
        danger=True,
        needs_second=True,
        offered_for=_is_waiting,
    ),
)
