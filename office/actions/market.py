"""Actions on the market: closures at short notice, and a list of stocks that has shrunk."""

from datetime import date

from exchange import calendar
from exchange.market import accept_short_list
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import ClosureForm, DayForm, ReasonForm
from office.actions.targets import CONTROLS, DESK
from office.models import Case
from office.roles import Power


def _close_market(context: ActionContext) -> str:
    day: date = context.data["day"]
    closure = calendar.set_closure(day, context.data["closes"], context.data["reason"], by=context.by)
    return f"The market calendar now has {closure}."


def _reopen_market(context: ActionContext) -> str:
    day: date = context.data["day"]
    if not calendar.remove_closure(day):
        raise ActionRefused(f"Staff have not entered a closure for {day}.")
    return f"The closure on {day} was removed."


def _accept_list(context: ActionContext) -> str:
    count = accept_short_list(context.by)
    if not count:
        raise ActionRefused("The exchange's list is complete.")
    return f"Accepted: {count} stocks will be delisted if they are still missing in 10 minutes."


def _has_closures(_: None) -> bool:
    return any(closure.source == "staff" for closure in calendar.closures())


def _list_is_short(_: None) -> bool:
    return Case.objects.filter(kind=Case.Kind.SHORT_LIST, closed_at=None).exists()


ACTIONS = (
    Action(
        "close-market",
        "Enter a market closure",
        Power.HALT,
        CONTROLS,
        _close_market,
        ClosureForm,
        "event_busy",
        needs_second=True,
    ),
    Action(
        "reopen-market",
        "Remove a market closure",
        Power.HALT,
        CONTROLS,
        _reopen_market,
        DayForm,
        "event_available",
        needs_second=True,
        offered_for=_has_closures,
    ),
    Action(
        "accept-list",
        "Accept the short list",
        Power.HALT,
        DESK,
        _accept_list,
        ReasonForm,
        "playlist_remove",
        danger=True,
        needs_second=True,
        offered_for=_list_is_short,
    ),
)
