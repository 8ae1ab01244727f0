"""Lists of trades and of the exchange's reports."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from exchange.messages import storable
from exchange.models import Stock
from office.access import audit_link
from office.actions.door import available_actions
from office.actions.targets import STAFF_REPORT, TRADE
from office.pages import trade as trade_page
from office.pages.search import find_customers
from office.tables.columns import column, customer_link, moment, trade_link
from office.tables.filters import (
    CLOCKS_APART,
    OPEN_STATUSES,
    AgeFilter,
    CustomerFilter,
    LaneFilter,
    OutcomeFilter,
    PlacedDayFilter,
    ReasonFilter,
    StatusFilter,
    TickerFilter,
    days,
    smallest_id_at,
)
from office.tables.keyset import KeysetChangeList
from office.tables.table import PageTable, Table
from trades.models import Report, Status, Trade

STATUS_LABELS = {
    Status.PLACED: "info",
    Status.IN_PROGRESS: "warning",
    Status.FILLED: "success",
    Status.REJECTED: "danger",
}


@admin.register(Trade)
class TradeTable(PageTable):
    """All trades, newest first."""

    list_display = ("trade", "by", "line", "order", "state", "reason", "total", moment("placed_at", "placed"))
    list_select_related = ("customer",)
    list_filter = (
        StatusFilter, ReasonFilter, TickerFilter, CustomerFilter, LaneFilter, AgeFilter, PlacedDayFilter,
    )  # fmt: skip
    search_fields = ("id",)
    search_help_text = "Trade id, ticker, or a customer's email, name or id"
    key = "id"
    page_template = "office/trade.html"
    target = TRADE
    exported = (
        ("tradeId", lambda trade: trade.id),
        ("customerId", lambda trade: trade.customer_id),
        ("email", lambda trade: trade.customer.email),
        ("sequence", lambda trade: trade.sequence),
        ("stockTicker", lambda trade: trade.ticker),
        ("type", lambda trade: trade.type),
        ("quantity", lambda trade: trade.quantity),
        ("status", lambda trade: trade.status),
        ("reasonCode", lambda trade: trade.reason_code),
        ("price", lambda trade: trade.price),
        ("amount", lambda trade: trade.amount),
        ("createdAt", lambda trade: trade.placed_at),
        ("settledAt", lambda trade: trade.settled_at),
        ("whenClosed", lambda trade: trade.when_closed),
        ("collarPrice", lambda trade: trade.collar_price),
        ("settlesOn", lambda trade: trade.settlement_date),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Trade], search_term: str
    ) -> tuple[QuerySet[Trade], bool]:
        """Find by trade id, ticker or customer."""
        text = storable(search_term, 200).strip()
        if not text:
            return queryset, False
        try:
            return queryset.filter(id=UUID(text)), False
        except ValueError:
            pass
        if Stock.objects.filter(ticker=text.upper()[:12]).exists():
            return queryset.filter(ticker=text.upper()[:12]), False
        return queryset.filter(customer_id__in=[customer.id for customer in find_customers(text)]), False

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        """Page by sequence for one customer, else by id."""
        filters = changes.filter_params
        status = (filters.get("status") or [""])[0]
        if "customer" in filters:
            return "sequence", False  # served by trade_has_its_place_in_line
        served = status in {"open", *OPEN_STATUSES} or filters.keys() & {"reason", "lane", "age"}
        return "id", bool(filters or changes.query) and not served

    def newest_of(self, changes: KeysetChangeList) -> Any:
        """Begin at the end of the filtered days."""
        text = (changes.filter_params.get("day") or [""])[0]
        if not text or "customer" in changes.filter_params:
            return None
        return smallest_id_at(days(text)[1] + CLOCKS_APART)

    def page_of(self, request: HttpRequest, row: Trade) -> dict[str, Any]:
        """Show everything about the trade."""
        return trade_page.facts(row) | {
            "actions": available_actions(request, TRADE, row),
            "endings": [
                (
                    entered,
                    []
                    if entered.entered_by_id == request.user.pk
                    else available_actions(request, STAFF_REPORT, entered),
                )
                for entered in row.staff_reports.select_related("entered_by", "decided_by").order_by("-id")
            ],
            "audit_link": audit_link(request, f"trade={row.id}"),
        }

    @column("trade")
    def trade(self, trade: Trade) -> str:
        """The end of the id, which is enough to tell trades apart."""
        return format_html('<span class="mono" title="{}">…{}</span>', trade.id, str(trade.id)[-12:])

    @column("customer")
    def by(self, trade: Trade) -> str:
        return customer_link(trade.customer)

    @column("no.")
    def line(self, trade: Trade) -> int:
        return trade.sequence

    @column("order")
    def order(self, trade: Trade) -> str:
        return f"{trade.type} {trade.quantity:,} {trade.ticker}"

    @column("status", label=STATUS_LABELS)
    def state(self, trade: Trade) -> tuple[str, str]:
        return trade.status, trade.status

    @column("reason")
    def reason(self, trade: Trade) -> str:
        return trade.reason_code.replace("_", " ")

    @column("USD")
    def total(self, trade: Trade) -> str:
        return f"{trade.amount:,.2f}" if trade.amount else ""


@admin.register(Report)
class ReportTable(Table):
    """Reports of the exchange, newest first."""

    list_display = (
        "id",
        "trade",
        "source",
        "outcome",
        "reason",
        moment("received_at", "received"),
        moment("handled_at", "handled"),
    )
    list_filter = (OutcomeFilter, CustomerFilter)
    search_fields = ("trade_id",)
    search_help_text = "Trade id"
    search_is_indexed = True
    key = "id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Report], search_term: str
    ) -> tuple[QuerySet[Report], bool]:
        return by_uuid(queryset, "trade_id", search_term), False

    @column("trade")
    def trade(self, report: Report) -> str:
        """The trade, linked if it is one of ours."""
        return trade_link(report.trade_id if report.customer_id else None) or str(report.trade_id or "")


def by_uuid(rows: QuerySet[Any], field: str, text: str) -> QuerySet[Any]:
    """Narrow the rows to those whose field has this UUID; to none if the text is not a UUID."""
    if not text.strip():
        return rows
    try:
        return rows.filter(**{field: UUID(text.strip())})
    except ValueError:
        return rows.none()
