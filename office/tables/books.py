"""Lists of postings, lots and adjustments, and of proofs and reconciliations."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.models import CASH, Adjustment, Lot, Posting
from office import proofs
from office.access import staff_of
from office.actions.door import available_actions
from office.actions.targets import ADJUSTMENT, PROOF
from office.models import Proof, Reconciliation
from office.tables.columns import column, moment
from office.tables.filters import CustomerFilter, LotStateFilter, PostedDayFilter, TickerFilter
from office.tables.table import PageTable, Table
from office.tables.trades import by_uuid
from web.templatetags.figures import cents, day, signed_cents, usd


@admin.register(Posting)
class PostingTable(Table):
    """All postings, newest first."""

    list_display = (
        "id", "customer", "kind", "ticker", "moved", "left", "price_usd", "cause", moment("created_at", "posted"),
        "settles",
    )  # fmt: skip
    list_select_related = ("customer",)
    list_filter = (CustomerFilter, TickerFilter, PostedDayFilter)
    search_fields = ("cause",)
    search_help_text = "Id of a trade, a transfer or an adjustment"
    search_is_indexed = True
    key = "id"
    indexed_filters = ("customer",)
    exported = (
        ("postingId", lambda posting: posting.id),
        ("customerId", lambda posting: posting.customer_id),
        ("kind", lambda posting: posting.kind),
        ("stockTicker", lambda posting: posting.ticker),
        ("change", lambda posting: posting.change),
        ("total", lambda posting: posting.total),
        ("price", lambda posting: posting.price),
        ("causeId", lambda posting: posting.cause),
        ("createdAt", lambda posting: posting.created_at),
        ("settlesOn", lambda posting: posting.settles_on),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Posting], search_term: str
    ) -> tuple[QuerySet[Posting], bool]:
        return by_uuid(queryset, "cause", search_term), False

    @column("change")
    def moved(self, posting: Posting) -> str:
        """The change: cash in USD to the cent, or whole shares."""
        return signed_cents(posting.change) if posting.ticker == CASH else f"{posting.change:+,.0f}".replace("-", "−")

    @column("total")
    def left(self, posting: Posting) -> str:
        """The total after the change."""
        return cents(posting.total) if posting.ticker == CASH else f"{posting.total:,.0f}"

    @column("price")
    def price_usd(self, posting: Posting) -> str:
        return "" if posting.price is None else usd(posting.price)

    @column("settles")
    def settles(self, posting: Posting) -> str:
        return day(posting.settles_on) if posting.settles_on else ""


@admin.register(Lot)
class LotTable(Table):
    """All lots, newest first."""

    list_display = (
        "customer", "ticker", "acquired", "shares", "remaining_shares", "cost_usd", "remaining_usd", "brought_in_by",
    )  # fmt: skip
    list_select_related = ("customer",)
    list_filter = (CustomerFilter, TickerFilter, LotStateFilter)
    key = "id"
    indexed_filters = ("customer",)
    exported = (
        ("lotId", lambda lot: lot.id),
        ("customerId", lambda lot: lot.customer_id),
        ("stockTicker", lambda lot: lot.ticker),
        ("acquiredOn", lambda lot: lot.acquired_on),
        ("quantity", lambda lot: lot.quantity),
        ("cost", lambda lot: lot.cost),
        ("remaining", lambda lot: lot.remaining),
        ("remainingCost", lambda lot: lot.remaining_cost),
        ("causeId", lambda lot: lot.cause),
        ("continuesLotId", lambda lot: lot.origin),
    )

    @column("acquired")
    def acquired(self, lot: Lot) -> str:
        return day(lot.acquired_on)

    @column("shares")
    def shares(self, lot: Lot) -> str:
        """The number of shares that the lot began with."""
        return f"{lot.quantity:,}"

    @column("remaining")
    def remaining_shares(self, lot: Lot) -> str:
        """The number of shares that are still held."""
        return f"{lot.remaining:,}"

    @column("cost, USD")
    def cost_usd(self, lot: Lot) -> str:
        """The cost of the whole lot, to the cent."""
        return f"{lot.cost:,.2f}"

    @column("remaining cost, USD")
    def remaining_usd(self, lot: Lot) -> str:
        """The cost of the shares that are still held, to the cent."""
        return f"{lot.remaining_cost:,.2f}"

    @column("cause")
    def brought_in_by(self, lot: Lot) -> str:
        """The cause of the lot, linked to its postings."""
        address = reverse("admin:accounts_posting_changelist")
        return format_html('<a href="{}?q={}">…{}</a>', address, lot.cause, str(lot.cause)[-12:])


@admin.register(Adjustment)
class AdjustmentTable(PageTable):
    """All adjustments, newest first."""

    list_display = (
        moment("asked_at", "requested"),
        "customer",
        "summary",
        "reason_code",
        "state",
        "asked_by",
        "decided_by",
    )
    list_select_related = ("customer", "asked_by", "decided_by")
    key = "id"
    bounded = False
    page_template = "office/adjustment.html"
    target = ADJUSTMENT

    def page_of(self, request: HttpRequest, row: Adjustment) -> dict[str, Any]:
        """Show the adjustment and its postings."""
        is_own = staff_of(request).id in {row.asked_by_id, row.customer_id}
        postings = Posting.objects.filter(cause=row.id)
        return {
            "adjustment": row,
            "actions": [] if is_own else available_actions(request, ADJUSTMENT, row),
            "is_own": is_own,
            "postings": list(postings),
        }

    @column("state", label={"approved": "success", "declined": "danger", "waiting": "warning"})
    def state(self, adjustment: Adjustment) -> tuple[str, str]:
        """Whether it waits, or how it was decided."""
        word = {None: "waiting", True: "approved", False: "declined"}[adjustment.approved]
        return word, word


@admin.register(Proof)
class ProofTable(PageTable):
    """Proofs of the books, newest first."""

    list_display = (
        moment("at", "at"), "ok", "extent", "customers", "trades", "postings", "violations_count", "took",
        "asked_by",
    )  # fmt: skip
    key = "id"
    bounded = False
    shows_customers = False
    page_template = "office/proof.html"
    target = PROOF

    def page_of(self, request: HttpRequest, row: Proof) -> dict[str, Any]:
        return {"proof": row, "full": proofs.last_full(row)}

    @column("took")
    def took(self, proof: Proof) -> str:
        return f"{proof.took_ms:,} ms"


@admin.register(Reconciliation)
class ReconciliationTable(Table):
    """Reconciliations with the exchange, newest first."""

    list_display = (moment("at", "at"), "orders", "fills", "tickers", "breaks", "took", "asked_by")
    key = "id"
    bounded = False
    shows_customers = False

    @column("took")
    def took(self, reconciliation: Reconciliation) -> str:
        return f"{reconciliation.took_ms:,} ms"
