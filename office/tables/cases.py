"""The queue of exceptions."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from office.actions.door import offered
from office.actions.targets import CASE
from office.cases import INSTRUCTIONS
from office.models import Case
from office.tables.columns import column, customer_link
from office.tables.filters import CaseKindFilter, CaseStateFilter
from office.tables.table import PageTable
from office.templatetags.office import since
from trades.models import Report, Trade


@admin.register(Case)
class CaseTable(PageTable):
    """Exceptions, newest first; without a filter, those that are open."""

    list_display = ("what", "age", "whose", "detail_start", "owner", "state")
    list_select_related = ("owner", "customer")
    list_filter = (CaseStateFilter, CaseKindFilter)
    key = "id"
    bounded = False
    page_template = "office/case.html"
    target = CASE

    def page_of(self, request: HttpRequest, found: Case) -> dict[str, Any]:
        """Show the exception, what to do about it, and the report or trade that it is about."""
        return {
            "case": found,
            "actions": offered(request, CASE, found),
            "instructions": INSTRUCTIONS[found.kind],
            "report": Report.objects.filter(id=found.report_id).first() if found.report_id else None,
            "trade": Trade.objects.filter(id=found.trade_id).first() if found.trade_id else None,
        }

    @column("detail")
    def detail_start(self, case: Case) -> str:
        return case.detail if len(case.detail) <= 140 else f"{case.detail[:139]}…"

    @column("exception")
    def what(self, case: Case) -> str:
        return case.get_kind_display()

    @column("age")
    def age(self, case: Case) -> str:
        return since(case.found_at)

    @column("customer")
    def whose(self, case: Case) -> str:
        return customer_link(case.customer)

    @column("state", label={"open": "warning", "closed": "success"})
    def state(self, case: Case) -> tuple[str, str]:
        """Open or closed."""
        word = "closed" if case.closed_at else "open"
        return word, word
