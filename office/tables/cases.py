"""The queue of exceptions."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from office.actions.door import available_actions
from office.actions.targets import CASE, CUSTOMER, TRADE
from office.cases import INSTRUCTIONS, due_at
from office.models import Case
from office.roles import Power, may
from office.tables.columns import column, customer_link, trade_link
from office.tables.filters import CaseKindFilter, CaseStateFilter, CustomerFilter
from office.tables.table import PageTable
from office.templatetags.office import money, since
from trades.explanation import age_in_words
from trades.models import Report, Trade

CLOSED_AT_ONCE_MAX = 500
DETAIL_LENGTH = 100


def close_selected(table: "CaseTable", request: HttpRequest, queryset: QuerySet[Case]) -> HttpResponse:
    """Redirect to the form that closes the selected exceptions with one resolution."""
    ids = ",".join(str(id) for id in queryset.values_list("id", flat=True)[:CLOSED_AT_ONCE_MAX])
    return HttpResponseRedirect(f"{reverse('admin:do', args=['close-many'])}?{urlencode({'ids': ids})}")


@admin.register(Case)
class CaseTable(PageTable):
    """Exceptions, newest first; without a filter, those that are open."""

    list_display = ("what", "due", "whose", "trade", "amount", "detail_start", "owner", "state")
    list_select_related = ("owner", "customer")
    list_filter = (CaseStateFilter, CaseKindFilter, CustomerFilter)
    key = "id"
    bounded = False
    page_template = "office/case.html"
    change_list_template = "office/cases.html"
    target = CASE

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer to close several exceptions at once, to staff who may."""
        if request is None or not may(request.user, Power.EXCEPTIONS):
            return {}
        close: tuple[Callable[..., HttpResponse], str, str] = (close_selected, "close_selected", "Close the selected")
        return {"close_selected": close}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """Show the queue, with the number of open exceptions of each kind."""
        counts = Case.objects.filter(closed_at=None).values_list("kind").annotate(number=Count("id"))
        groups = [(kind, Case.Kind(kind).label, count) for kind, count in counts.order_by("-number")]
        return super().changelist_view(request, (extra_context or {}) | {"groups": groups})

    def prepare(self, rows: list[Any]) -> None:
        """Read the trades that the exceptions are about."""
        trades = Trade.objects.in_bulk([case.trade_id for case in rows if case.trade_id])
        for case in rows:
            case.its_trade = trades.get(case.trade_id)

    def page_of(self, request: HttpRequest, row: Case) -> dict[str, Any]:
        """Show the exception, its subject, and what to do about it."""
        trade = Trade.objects.filter(id=row.trade_id).first() if row.trade_id else None
        useful = {"ask", "freeze-withdrawals", "adjust", "end-trade"}
        on_customer = available_actions(request, CUSTOMER, row.customer) if row.customer else []
        return {
            "case": row,
            "actions": available_actions(request, CASE, row),
            "trade_actions": [action for action in available_actions(request, TRADE, trade) if action.name in useful]
            if trade
            else [],
            "customer_actions": [action for action in on_customer if action.name in useful],
            "instructions": INSTRUCTIONS[row.kind],
            "due": due_at(row),
            "report": Report.objects.filter(id=row.report_id).first() if row.report_id else None,
            "trade": trade,
        }

    @column("detail")
    def detail_start(self, case: Case) -> str:
        return case.found if len(case.found) <= DETAIL_LENGTH else f"{case.found[: DETAIL_LENGTH - 1]}…"

    @column("exception")
    def what(self, case: Case) -> str:
        return case.get_kind_display()

    @column("due")
    def due(self, case: Case) -> str:
        """The time until or since it is due; for a closed exception, its age."""
        if case.closed_at:
            return f"{since(case.found_at)} old"
        remaining = due_at(case) - timezone.now()
        if remaining.total_seconds() > 0:
            return f"in {age_in_words(remaining)}"
        return format_html('<strong class="bad">{} overdue</strong>', age_in_words(-remaining))

    @column("customer")
    def whose(self, case: Case) -> str:
        return customer_link(case.customer)

    @column("trade")
    def trade(self, case: Any) -> str:
        return trade_link(case.trade_id, str(case.its_trade)) if case.its_trade else ""

    @column("USD")
    def amount(self, case: Any) -> str:
        """The amount of the trade, or its maximum cost."""
        trade = case.its_trade
        at_stake = trade and (trade.amount or trade.max_price)
        return money(at_stake) if at_stake else ""

    @column("state", label={"open": "warning", "closed": "success"})
    def state(self, case: Case) -> tuple[str, str]:
        """Open or closed."""
        word = "closed" if case.closed_at else "open"
        return word, word
