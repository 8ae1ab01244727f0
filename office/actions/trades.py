"""Actions on trades."""

from exchange.messages import Unknown
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import ReasonForm
from office.actions.targets import TRADE
from office.roles import Power
from trades import lane
from trades.cancel import NotCancellable, cancel_trade
from trades.models import Status, Trade
from trades.sweep import ask_now


def _ring(context: ActionContext) -> str:
    customer_id = context.target.customer_id
    if not lane.ring([customer_id]):
        raise ActionRefused("The message broker can't be reached. The sweep will pick up the trade.")
    return f"Rang lane {lane.lane_of(customer_id)}."


def _ask(context: ActionContext) -> str:
    try:
        return f"The exchange says: {ask_now(context.target.id)}."
    except Unknown as unknown:
        raise ActionRefused(f"The exchange gave no answer: {unknown}") from None


def _cancel(context: ActionContext) -> str:
    try:
        cancel_trade(context.target.customer_id, context.target.id, context.by)
    except NotCancellable as error:
        raise ActionRefused(str(error)) from None
    return "The trade was cancelled."


def _is_open(trade: Trade) -> bool:
    return trade.status in {Status.PLACED, Status.IN_PROGRESS}


def _is_placed(trade: Trade) -> bool:
    return trade.status == Status.PLACED


ACTIONS = (
    Action("ring", "Ring the lane", Power.RING, TRADE, _ring, icon="notifications", offered_for=_is_open),
    Action("ask", "Ask the exchange now", Power.ASK, TRADE, _ask, icon="contact_support"),
    Action("cancel", "Cancel", Power.CANCEL, TRADE, _cancel, ReasonForm, "cancel", danger=True, offered_for=_is_placed),
)
