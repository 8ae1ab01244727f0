"""The list of corporate actions: their terms, and their expected and actual effect."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from office.actions.door import available_actions
from office.actions.targets import CORPORATE_ACTION
from office.tables.columns import column, moment
from office.tables.table import PageTable
from trades.corporate_actions import preview
from trades.models import CorporateAction


@admin.register(CorporateAction)
class CorporateActionTable(PageTable):
    """All corporate actions, newest first."""

    list_display = ("title", moment("entered_at", "entered"), "ex_date", "state_word", "holders", "cash")
    key = "id"
    bounded = False
    page_template = "office/corporate_action.html"
    target = CORPORATE_ACTION
    shows_customers = False

    def page_of(self, request: HttpRequest, row: CorporateAction) -> dict[str, Any]:
        """Show the terms, the effect it would have on today's holders, and the effect it has had."""
        return {
            "action": row,
            "preview": preview(row),
            "offered": available_actions(request, CORPORATE_ACTION, row),
        }

    @column("corporate action")
    def title(self, action: CorporateAction) -> str:
        """The kind and the terms."""
        return str(action)

    @column("state", label={"done": "success", "declined": "danger", "applying": "warning", "announced": "info"})
    def state_word(self, action: CorporateAction) -> tuple[str, str]:
        """The state of processing."""
        return action.state, action.state
