"""Actions on trades that need manual review: judge a report again, or enter how the trade ended."""

from collections.abc import Callable

from django.db import IntegrityError

from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import EndTradeForm, ReasonForm
from office.actions.targets import CASE, STAFF_REPORT, TRADE
from office.models import Case
from office.roles import Power
from trades import review
from trades.models import Outcome, StaffReport, Status, Trade


def _judge_again(context: ActionContext) -> str:
    try:
        outcome = review.judge_again(context.target.report_id, context.by)
    except review.NotInReview:
        raise ActionRefused("This report no longer needs review, or it is not about one of our trades.") from None
    return f"Judged again. {Outcome(outcome).label}"


def _has_report(case: Case) -> bool:
    return case.report_id is not None and case.customer_id is not None and case.closed_at is None


def _enter_report(context: ActionContext) -> str:
    data = context.data
    try:
        entered = review.enter_report(
            context.target.id, Status(data["status"]), data["price"], data["reason"], context.staff
        )
    except review.NotOverdue:
        raise ActionRefused("Only a trade that has been IN PROGRESS for an hour can be ended by staff.") from None
    except review.WrongPrice:
        raise ActionRefused(
            "A FILLED trade needs a price with at most four decimals; a REJECTED one must not have one."
        ) from None
    except IntegrityError:
        raise ActionRefused("An ending of this trade is already waiting for a decision.") from None
    return f"{entered.status} was entered. A second member of staff must approve it."


def _is_in_progress(trade: Trade) -> bool:
    return trade.status == Status.IN_PROGRESS


def _decide(approve: bool) -> Callable[[ActionContext], str]:
    def run(context: ActionContext) -> str:
        try:
            review.decide_on_report(context.target.id, approve, context.staff)
        except review.OwnReport:
            raise ActionRefused("You entered this, or it is your own trade, so somebody else must decide.") from None
        except review.DecidedAlready:
            raise ActionRefused("This has already been decided.") from None
        return "Approved. It is applied to the trade like any report." if approve else "Declined."

    return run


def _is_undecided(entered: StaffReport) -> bool:
    return entered.approved is None


ACTIONS = (
    Action("judge-again", "Judge again", Power.EXCEPTIONS, CASE, _judge_again, icon="gavel", offered_for=_has_report),
    Action(
        "end-trade",
        "Enter how it ended",
        Power.ADJUST,
        TRADE,
        _enter_report,
        EndTradeForm,
        "flag",
        danger=True,
        offered_for=_is_in_progress,
    ),
    Action(
        "approve-ending",
        "Approve the ending",
        Power.ADJUST,
        STAFF_REPORT,
        _decide(approve=True),
        icon="check",
        offered_for=_is_undecided,
    ),
    Action(
        "decline-ending",
        "Decline the ending",
        Power.ADJUST,
        STAFF_REPORT,
        _decide(approve=False),
        ReasonForm,
        "close",
        danger=True,
        offered_for=_is_undecided,
    ),
)
