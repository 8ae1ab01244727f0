"""The list of proposals, which wait for a second member of staff."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from office.access import staff_of
from office.actions.door import available_actions
from office.actions.targets import PROPOSAL
from office.models import Proposal
from office.tables.columns import column, moment
from office.tables.table import PageTable


@admin.register(Proposal)
class ProposalTable(PageTable):
    """All proposals, newest first."""

    list_display = ("subject", moment("asked_at", "proposed"), "asked_by", "state", "decided_by", "result")
    list_select_related = ("asked_by", "decided_by")
    key = "id"
    bounded = False
    page_template = "office/proposal.html"
    target = PROPOSAL

    def page_of(self, request: HttpRequest, row: Proposal) -> dict[str, Any]:
        """Show what was proposed."""
        is_own = row.asked_by_id == staff_of(request).id
        return {
            "proposal": row,
            "is_own": is_own,
            "actions": [] if is_own else available_actions(request, PROPOSAL, row),
        }

    @column("state", label={"approved": "success", "declined": "danger", "waiting": "warning"})
    def state(self, proposal: Proposal) -> tuple[str, str]:
        """Whether it waits, or how it was decided."""
        word = {None: "waiting", True: "approved", False: "declined"}[proposal.approved]
        return word, word
