"""The actions of staff: one table of all actions, by subject, and the single door through which they are executed."""

from office.actions import (
    adjustments,
    cases,
    controls,
    corporate_actions,
    customers,
    fees,
    jobs,
    market,
    proposals,
    reviews,
    staff,
    trades,
    webhooks,
)
from office.actions.action import Action

ACTIONS: dict[str, Action] = {
    action.name: action
    for subject in (
        trades,
        customers,
        webhooks,
        adjustments,
        cases,
        jobs,
        controls,
        fees,
        market,
        corporate_actions,
        proposals,
        reviews,
        staff,
    )
    for action in subject.ACTIONS
}
