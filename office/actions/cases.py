"""Actions on exceptions."""

from office import cases
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import CasesForm, ResolutionForm
from office.actions.targets import CASE, CASES
from office.models import Case
from office.roles import Power


def _take(context: ActionContext) -> str:
    try:
        cases.assign(context.target.id, context.staff)
    except cases.AlreadyClosed:
        raise ActionRefused("This exception is closed.") from None
    return "You own this exception now."


def _close(context: ActionContext) -> str:
    try:
        cases.close(context.target.id, context.staff, context.data["reason"])
    except cases.AlreadyClosed:
        raise ActionRefused("This exception was already closed.") from None
    return "Closed."


def _close_many(context: ActionContext) -> str:
    count = cases.close_all(context.data["ids"], context.staff, context.data["reason"])
    return f"{count} exception{'' if count == 1 else 's'} closed."


def _is_open(case: Case) -> bool:
    return case.closed_at is None


ACTIONS = (
    Action("take", "Take it", Power.EXCEPTIONS, CASE, _take, icon="person_add", offered_for=_is_open),
    Action("close", "Close", Power.EXCEPTIONS, CASE, _close, ResolutionForm, "task_alt", offered_for=_is_open),
    Action("close-many", "Close these exceptions", Power.EXCEPTIONS, CASES, _close_many, CasesForm, "task_alt"),
)
