"""What staff can do: one table of actions, by subject, and the one door that they all go through."""

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
