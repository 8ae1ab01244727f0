"""Actions with which a second member of staff decides on a proposal."""

from office import proposals
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import ReasonForm
from office.actions.targets import PROPOSAL
from office.models import Proposal
from office.roles import Power, may


def _action_of(proposal: Proposal) -> Action:
    from office.actions import ACTIONS

    return ACTIONS[proposal.action]


def _decide(context: ActionContext, approve: bool) -> None:
    if not may(context.staff, _action_of(context.target).power):
        raise ActionRefused("Your role can't decide on this.")
    try:
        proposals.decide(context.target, approve, context.staff)
    except proposals.OwnProposal:
        raise ActionRefused("You proposed this, so somebody else must decide.") from None
    except proposals.ProposalDecided:
        raise ActionRefused("This has already been decided.") from None


def _approve(context: ActionContext) -> str:
    proposal: Proposal = context.target
    action = _action_of(proposal)
    form = action.form(proposal.given)
    if not form.is_valid():
        raise ActionRefused("The proposal is no longer valid. Decline it, and propose it again.")
    target = action.target.load(proposal.target)
    _decide(context, approve=True)
    actor = f"staff {proposal.asked_by_id} and {context.staff.id}"
    try:
        result = action.run(ActionContext(context.staff, actor, target, form.cleaned_data))
    except ActionRefused as refused:
        proposals.record_result(proposal, f"Not done: {refused}")
        raise
    proposals.record_result(proposal, result)
    return result


def _decline(context: ActionContext) -> str:
    _decide(context, approve=False)
    proposals.record_result(context.target, f"Declined: {context.data['reason']}")
    return "Declined."


def _is_undecided(proposal: Proposal) -> bool:
    return proposal.approved is None


ACTIONS = (
    Action(
        "approve-proposal",
        "Approve and do it",
        Power.READ,
        PROPOSAL,
        _approve,
        icon="check",
        offered_for=_is_undecided,
    ),
    Action(
        "decline-proposal",
        "Decline",
        Power.READ,
        PROPOSAL,
        _decline,
        ReasonForm,
        "close",
        danger=True,
        offered_for=_is_undecided,
    ),
)
