"""Proposals: actions that take two members of staff. One proposes, another decides."""

from django.db.models.functions import Now

from accounts.models import Customer
from exchange.messages import storable
from office.models import Proposal


class OwnProposal(Exception):
    """Nobody decides on a proposal of their own."""


class ProposalDecided(Exception):
    """The proposal was approved or declined before."""


def decide(proposal: Proposal, approve: bool, by: Customer) -> None:
    """Approve or decline a proposal. Of two members of staff that decide at once, exactly one does.

    Raises:
        OwnProposal: `by` proposed it.
        ProposalDecided: it was decided on before.
    """
    if proposal.asked_by_id == by.id:
        raise OwnProposal
    undecided = Proposal.objects.filter(id=proposal.id, approved=None)
    if not undecided.update(approved=approve, decided_by=by, decided_at=Now()):
        raise ProposalDecided


def keep_result(proposal: Proposal, result: str) -> None:
    """Keep what came of an approved proposal."""
    Proposal.objects.filter(id=proposal.id, result="").update(result=storable(result, 500))
