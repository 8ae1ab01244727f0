"""Proposals: actions that need two members of staff. One proposes, another decides."""

from django.db.models.functions import Now

from accounts.models import Customer
from exchange.messages import storable
from office.models import Proposal


class OwnProposal(Exception):
    """A member of staff can't decide on their own proposal."""


class ProposalDecided(Exception):
    """The proposal has already been approved or declined."""


def decide(proposal: Proposal, approve: bool, by: Customer) -> None:
    """Approve or decline a proposal. If two members of staff decide at the same time, only one decision counts.

    Raises:
        OwnProposal: `by` proposed it.
        ProposalDecided: It has already been decided.
    """
    if proposal.asked_by_id == by.id:
        raise OwnProposal
    open_proposals = Proposal.objects.filter(id=proposal.id, approved=None)
    if not open_proposals.update(approved=approve, decided_by=by, decided_at=Now()):
        raise ProposalDecided


def record_result(proposal: Proposal, result: str) -> None:
    """Record the result of a proposal that was decided."""
    Proposal.objects.filter(id=proposal.id, result="").update(result=storable(result, 500))
