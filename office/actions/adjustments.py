"""Adjustments of accounts: one member of staff requests an adjustment, another decides."""

from collections.abc import Callable
from decimal import Decimal

from accounts import queries
from accounts.account import InsufficientShares
from accounts.adjustments import (
    DecidedAlready,
    OwnAdjustment,
    PositionTooLarge,
    ask_for_adjustment,
    decide_on_adjustment,
)
from accounts.funding import BalanceTooLarge, InsufficientFunds
from accounts.models import CASH, Adjustment
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import AdjustmentForm, ReasonForm
from office.actions.targets import ADJUSTMENT, CUSTOMER
from office.roles import Power
from office.templatetags.office import money


def _request(context: ActionContext) -> str:
    data = context.data
    available = _available(context.target.id, data["ticker"])
    if data["change"] < -available:
        has = f"{money(available)} USD" if data["ticker"] == CASH else f"{available:,.0f} {data['ticker']}"
        raise ActionRefused(f"The account has {has} available, so this can't be booked.")
    adjustment = ask_for_adjustment(
        context.target.id,
        data["change"],
        data["kind"],
        data["reason"],
        context.staff,
        ticker=data["ticker"],
        price=data["price"],
    )
    return f"{adjustment.summary} was requested. A second member of staff must approve it."


def _available(customer_id: int, ticker: str) -> Decimal:
    """Return how much an adjustment can take out: USD or shares that no trade holds."""
    if ticker == CASH:
        return queries.balance_of(customer_id).available
    position = queries.positions_of(customer_id).filter(ticker=ticker).first()
    return Decimal(position.quantity - position.held if position else 0)


def _decide(approve: bool) -> Callable[[ActionContext], str]:
    def run(context: ActionContext) -> str:
        try:
            decide_on_adjustment(context.target.id, approve, context.staff)
        except OwnAdjustment:
            raise ActionRefused("You can't decide on an adjustment of your own.") from None
        except DecidedAlready:
            raise ActionRefused("This adjustment has already been decided.") from None
        except (InsufficientFunds, InsufficientShares):
            raise ActionRefused("The account doesn't have that much available.") from None
        except (BalanceTooLarge, PositionTooLarge):
            raise ActionRefused("The account can't hold that much.") from None
        return "Approved and posted." if approve else "Declined."

    return run


def _is_undecided(adjustment: Adjustment) -> bool:
    return adjustment.approved is None


ACTIONS = (
    Action("adjust", "Request an adjustment", Power.ADJUST, CUSTOMER, _request, AdjustmentForm, "price_change"),
    Action(
        "approve",
        "Approve and post",
        Power.ADJUST,
        ADJUSTMENT,
        _decide(approve=True),
        icon="check",
        offered_for=_is_undecided,
    ),
    Action(
        "decline",
        "Decline",
        Power.ADJUST,
        ADJUSTMENT,
        _decide(approve=False),
        ReasonForm,
        "close",
        danger=True,
        offered_for=_is_undecided,
    ),
)
