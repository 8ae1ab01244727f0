"""Actions on regulatory fees: enter a rate, which a second member of staff must approve."""

from office.actions.action import Action, ActionContext
from office.actions.forms import FeeRateForm
from office.actions.targets import CONTROLS
from office.roles import Power
from trades.fees import enter_rate


def _enter_rate(context: ActionContext) -> str:
    data = context.data
    rate = enter_rate(
        data["kind"],
        data["first_day"],
        data["last_day"],
        per_usd=data["per_usd"],
        per_share=data["per_share"],
        maximum=data["maximum"],
        source=data["reason"],
        by=context.by,
    )
    return f"The fee schedule now has the {rate}."


ACTIONS = (
    Action(
        "enter-fee-rate",
        "Enter a fee rate",
        Power.FEES,
        CONTROLS,
        _enter_rate,
        FeeRateForm,
        "percent",
        needs_second=True,
    ),
)
