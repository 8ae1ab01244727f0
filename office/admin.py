"""The lists of the back office. Nothing is edited here: the books, the trades and the history only by the verbs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import TextFilter
from unfold.decorators import display

from accounts.models import Adjustment, Customer, Posting, SignIn
from exchange.messages import storable
from exchange.models import Call, Stock
from office import audit, customer_page, trade_page
from office.access import actor_of
from office.actions import offered
from office.cases import WHAT_TO_DO
from office.find import customers
from office.lists import KeysetChangeList, Table
from office.models import AuditEntry, Case, Proof, Reconciliation
from office.roles import Power, may
from trades.lane import lane_of
from trades.models import Outcome, Reason, Report, Status, Trade

OPEN_MAX = 5_000  # open trades that a filter for them looks at, the oldest first
OPEN = {"open", Status.PLACED, Status.IN_PROGRESS}  # what the filter for the status calls them
CLOCKS_APART = timedelta(minutes=10)  # an id's time is the web server's, a trade's the database's
LABELS = {
    Status.PLACED: "info",
    Status.IN_PROGRESS: "warning",
    Status.FILLED: "success",
    Status.REJECTED: "danger",
}


class PageTable(Table):
    """A list whose rows have a page of our own; who opens it is noted in the audit log."""

    page_template = ""

    def page_of(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        """What the row's page shows."""
        raise NotImplementedError

    def about(self, found: Any) -> dict[str, Any]:
        """What the audit log says was seen."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404
        audit.record(actor_of(request), f"see {self.opts.verbose_name}", AuditEntry.Outcome.SEEN, **self.about(found))
        context = self.admin_site.each_context(request) | {"opts": self.opts, "original": found, "title": str(found)}
        return TemplateResponse(request, self.page_template, context | self.page_of(request, found))


def moment(field: str, title: str) -> Callable[[Any], str]:
    """A column with a time in UTC."""

    def column(row: Any) -> str:
        at = getattr(row, field)
        text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""
        return format_html('<span class="office-when">{}</span>', text)

    column.short_description = f"{title} (UTC)"  # type: ignore[attr-defined]
    return column


class StatusFilter(admin.SimpleListFilter):
    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("open", "Open"), *((status.value, status.label.capitalize()) for status in Status)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "open":
            return queryset.filter(status__in=[Status.PLACED, Status.IN_PROGRESS])
        return queryset.filter(status=self.value()) if self.value() in Status.values else queryset


class ReasonFilter(admin.SimpleListFilter):
    title, parameter_name = "reason", "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(code, code.replace("_", " ")) for code in Reason.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(reason_code=self.value()) if self.value() else queryset


class AgeFilter(admin.SimpleListFilter):
    title, parameter_name = "age, of open trades", "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("5", "over 5 seconds"), ("60", "over a minute"), ("600", "over 10 minutes"), ("3600", "over an hour")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() not in {"5", "60", "600", "3600"}:
            return queryset
        since = timezone.now() - timedelta(seconds=int(self.value() or 0))
        return queryset.filter(status__in=[Status.PLACED, Status.IN_PROGRESS], placed_at__lt=since)


class Exact(TextFilter):
    """A filter for what is typed; `field` is what it is compared with."""

    field = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**{self.field: self.read(self.value())}) if self.value() else queryset

    def read(self, text: Any) -> Any:
        """What was typed, as the field has it. Raises ValueError."""
        return storable(text.strip(), 200)


class Number(Exact):
    def read(self, text: Any) -> Any:
        number = int(text)
        if not 0 <= number < 2**63:
            raise ValueError(text)
        return number


class TickerFilter(Exact):
    title, parameter_name, field = "stock", "ticker", "ticker"

    def read(self, text: Any) -> Any:
        return super().read(text).upper()


class CustomerFilter(Number):
    title, parameter_name, field = "customer id", "customer", "customer_id"


class TradeFilter(Exact):
    title, parameter_name, field = "trade id", "trade", "trade_id"

    def read(self, text: Any) -> Any:
        return UUID(text.strip())


class LaneFilter(TextFilter):
    """Of open trades: a lane is where a trade waits."""

    title, parameter_name = "lane, of open trades", "lane"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(status__in=[Status.PLACED, Status.IN_PROGRESS]) if self.value() else queryset


class DayFilter(TextFilter):
    """A day in UTC, as 2026-01-31; or two with .. between them, the last one included."""

    title, parameter_name = "day (2026-01-31, or 2026-01-01..2026-01-31)", "day"
    field = "placed_at"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not self.value():
            return queryset
        begin, end = days(self.value() or "")
        return queryset.filter(**{f"{self.field}__gte": begin, f"{self.field}__lt": end})


class PostedDayFilter(DayFilter):
    field = "created_at"


def days(text: str) -> tuple[datetime, datetime]:
    """Where the days in `text` begin and end. Raises ValueError."""
    first, _, last = text.strip().partition("..")
    begin = datetime.strptime(first, "%Y-%m-%d").replace(tzinfo=UTC)
    end = datetime.strptime(last or first, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    return begin, end


def id_at(moment: datetime) -> UUID:
    """The smallest id (version 7) that can be made at this time."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80))


@admin.register(Trade)
class TradeTable(PageTable):
    list_display = ("trade", "by", "line", "order", "state", "reason", "in_all", moment("placed_at", "placed"))
    list_select_related = ("customer",)
    list_filter = (
        StatusFilter, ReasonFilter, TickerFilter, CustomerFilter, LaneFilter, AgeFilter, DayFilter,
    )  # fmt: skip
    search_fields = ("id",)
    search_help_text = "A trade's id; a customer's e-mail, name or id; a ticker"
    key = "id"
    page_template = "office/trade.html"
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
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        # The lane and the id's time are no columns, so the filters for them narrow the rows here.
        rows = super().get_queryset(request).select_related("customer")
        of_open = request.GET.get("status") in OPEN or bool(request.GET.keys() & {"lane", "age"})
        open_ones = _oldest_open() if of_open else []
        if of_open and len(open_ones) < OPEN_MAX:
            # By id, for else the database may walk from the newest trade to an open one that is very old.
            rows = rows.filter(id__in=[id for id, _ in open_ones])
        if text := request.GET.get("lane"):
            ids = [id for id, customer_id in open_ones if text.isdigit() and lane_of(customer_id) == int(text[:4])]
            rows = rows.filter(id__in=ids)
        if text := request.GET.get("day"):
            try:
                begin, end = days(text)
            except ValueError:
                return rows.none()
            rows = rows.filter(id__gte=id_at(begin - CLOCKS_APART), id__lt=id_at(end + CLOCKS_APART))
        return rows

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        text = storable(search_term, 200).strip()
        if not text:
            return queryset, False
        try:
            return queryset.filter(id=UUID(text)), False
        except ValueError:
            pass
        if Stock.objects.filter(ticker=text.upper()[:12]).exists():
            return queryset.filter(ticker=text.upper()), False
        return queryset.filter(customer_id__in=[customer.id for customer in customers(text)]), False

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        asked = changes.filter_params
        status = (asked.get("status") or [""])[0]
        if "customer" in asked:
            return "sequence", False  # served by trade_has_its_place_in_line
        served = status in OPEN or asked.keys() & {"reason", "lane", "age"}
        return "id", bool(asked or changes.query) and not served

    def newest_of(self, changes: KeysetChangeList) -> Any:
        text = (changes.filter_params.get("day") or [""])[0]
        return id_at(days(text)[1] + CLOCKS_APART) if text else None

    def about(self, found: Trade) -> dict[str, Any]:
        return {"trade_id": found.id, "customer_id": found.customer_id, "subject": str(found)}

    def page_of(self, request: HttpRequest, found: Trade) -> dict[str, Any]:
        return trade_page.facts(found) | {
            "actions": offered(request, "trade", found),
            "audit_link": _audit_link(request, f"trade={found.id}"),
        }

    @display(description="trade", ordering=None)
    def trade(self, trade: Trade) -> str:
        return format_html('<span class="mono" title="{}">…{}</span>', trade.id, str(trade.id)[-12:])

    @display(description="customer")
    def by(self, trade: Trade) -> str:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:accounts_customer_change", args=[trade.customer_id]), trade.customer
        )

    @display(description="no.")
    def line(self, trade: Trade) -> int:
        return trade.sequence

    @display(description="order")
    def order(self, trade: Trade) -> str:
        return f"{trade.type} {trade.quantity:,} {trade.ticker}"

    @display(description="status", label=LABELS)
    def state(self, trade: Trade) -> tuple[str, str]:
        return trade.status, trade.status

    @display(description="reason")
    def reason(self, trade: Trade) -> str:
        return trade.reason_code.replace("_", " ")

    @display(description="USD")
    def in_all(self, trade: Trade) -> str:
        return f"{trade.amount:,.2f}" if trade.amount else ""


def _oldest_open() -> list[tuple[UUID, int]]:
    """Ids of the oldest open trades, OPEN_MAX of each status, with their customers."""
    found: list[tuple[UUID, int]] = []
    for status in (Status.PLACED, Status.IN_PROGRESS):
        rows = Trade.objects.filter(status=status).order_by("placed_at" if status == Status.PLACED else "ask_at")
        found += list(rows.values_list("id", "customer_id")[:OPEN_MAX])
    return found


def _audit_link(request: HttpRequest, query: str) -> str:
    if not may(request.user, Power.AUDIT):
        return ""
    return f"{reverse('admin:office_auditentry_changelist')}?{query}"


@admin.register(Customer)
class CustomerTable(PageTable):
    list_display = ("email", "name", "id", "active", "staff", moment("joined_at", "joined"))
    search_fields = ("email",)
    search_help_text = "E-mail or its beginning, the beginning of a name, an id"
    key = "id"
    bounded = False
    page_template = "office/customer.html"
    exported = (
        ("customerId", lambda customer: customer.id),
        ("email", lambda customer: customer.email),
        ("name", lambda customer: customer.name),
        ("active", lambda customer: customer.is_active),
        ("joinedAt", lambda customer: customer.joined_at),
    )

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        if not search_term.strip():
            return queryset, False
        ids = [customer.id for customer in customers(storable(search_term, 200).strip())]
        return queryset.filter(id__in=ids), False

    def about(self, found: Customer) -> dict[str, Any]:
        return {"customer_id": found.id, "subject": found.email}

    def page_of(self, request: HttpRequest, found: Customer) -> dict[str, Any]:
        return customer_page.facts(found, with_audit=may(request.user, Power.AUDIT)) | {
            "actions": offered(request, "customer", found),
            "audit_link": _audit_link(request, f"customer={found.id}"),
        }

    @display(description="signs in", boolean=True)
    def active(self, customer: Customer) -> bool:
        return customer.is_active

    @display(description="staff")
    def staff(self, customer: Customer) -> str:
        return "staff" if customer.is_staff else ""


class SignInKindFilter(admin.SimpleListFilter):
    title, parameter_name = "what happened", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return SignIn.Kind.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class AddressFilter(Exact):
    title, parameter_name, field = "address", "address", "address"


@admin.register(SignIn)
class SignInTable(Table):
    list_display = (moment("at", "at"), "customer", "kind", "second_factor", "address", "device", "session")
    list_select_related = ("customer",)
    list_display_links = None
    list_filter = (CustomerFilter, SignInKindFilter, AddressFilter)
    key = "id"
    exported = (
        ("at", lambda row: row.at),
        ("customerId", lambda row: row.customer_id),
        ("kind", lambda row: row.kind),
        ("secondFactor", lambda row: row.second_factor),
        ("address", lambda row: row.address),
        ("device", lambda row: row.device),
        ("session", lambda row: row.session),
    )

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        return "id", bool(changes.filter_params) and "customer" not in changes.filter_params


@admin.register(Posting)
class PostingTable(Table):
    list_display = (
        "id", "customer", "kind", "ticker", "change", "total", "price", "cause", moment("created_at", "posted"),
    )  # fmt: skip
    list_select_related = ("customer",)
    list_display_links = None
    list_filter = (CustomerFilter, TickerFilter, PostedDayFilter)
    search_fields = ("cause",)
    search_help_text = "The id of a trade, a transfer or an adjustment"
    key = "id"
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
    )

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        return "id", bool(changes.filter_params) and "customer" not in changes.filter_params and not changes.query

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        return _by_uuid(queryset, "cause", search_term), False


def _by_uuid(rows: QuerySet, field: str, text: str) -> QuerySet:
    if not text.strip():
        return rows
    try:
        return rows.filter(**{field: UUID(text.strip())})
    except ValueError:
        return rows.none()


class OutcomeFilter(admin.SimpleListFilter):
    title, parameter_name = "outcome", "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(outcome.value, outcome.value.replace("_", " ")) for outcome in Outcome]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(outcome=self.value()) if self.value() else queryset


@admin.register(Report)
class ReportTable(Table):
    list_display = (
        "id",
        "about",
        "source",
        "outcome",
        "reason",
        moment("received_at", "received"),
        moment("handled_at", "handled"),
    )
    list_display_links = None
    list_filter = (OutcomeFilter, CustomerFilter)
    search_fields = ("trade_id",)
    search_help_text = "A trade's id"
    key = "id"

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        return "id", bool(changes.filter_params) and not changes.query

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        return _by_uuid(queryset, "trade_id", search_term), False

    @display(description="trade")
    def about(self, report: Report) -> str:
        return _trade_link(report.trade_id if report.customer_id else None) or str(report.trade_id or "")


def _trade_link(trade_id: UUID | None) -> str:
    if trade_id is None:
        return ""
    return format_html('<a href="{}">{}</a>', reverse("admin:trades_trade_change", args=[trade_id]), trade_id)


@admin.register(Call)
class CallTable(Table):
    list_display = (moment("at", "at"), "verb", "trades", "outcome", "said", "took")
    list_display_links = None
    search_fields = ("trade_ids",)
    search_help_text = "A trade's id"
    key = "id"

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        return "id", False

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        if not search_term.strip():
            return queryset, False
        try:
            ids = Call.objects.filter(trade_ids__contains=[UUID(search_term.strip())]).values_list("id", flat=True)
        except ValueError:
            return queryset.none(), False
        return queryset.filter(id__in=list(ids[:200])), False

    @display(description="trades")
    def trades(self, call: Call) -> str:
        first = _trade_link(call.trade_ids[0])
        return first if len(call.trade_ids) == 1 else format_html("{} and {} more", first, len(call.trade_ids) - 1)

    @display(description="answer")
    def said(self, call: Call) -> str:
        if call.seen:
            return call.seen
        odd = ", ".join(sorted(set(call.answers.values())))
        return odd or "accepted"

    @display(description="ms")
    def took(self, call: Call) -> str:
        return f"{call.took_ms:,.1f}"


@admin.register(Stock)
class StockTable(Table):
    list_display = ("ticker", "name", "market", "industry", "listed", moment("seen_at", "last listed"))
    list_display_links = None
    search_fields = ("ticker", "name")
    key = "ticker"
    bounded = False


@admin.register(Adjustment)
class AdjustmentTable(PageTable):
    list_display = (
        moment("asked_at", "asked"),
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

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("customer", "asked_by", "decided_by")

    def about(self, found: Adjustment) -> dict[str, Any]:
        return {"customer_id": found.customer_id, "subject": f"adjustment {found.id}: {found}"}

    def page_of(self, request: HttpRequest, found: Adjustment) -> dict[str, Any]:
        own = request.user.pk in {found.asked_by_id, found.customer_id}
        actions = [] if own else offered(request, "adjustment", found)
        postings = Posting.objects.filter(cause=found.id)
        return {"adjustment": found, "actions": actions, "own": own, "postings": list(postings)}

    @display(description="state", label={"approved": "success", "declined": "danger", "waits": "warning"})
    def state(self, adjustment: Adjustment) -> tuple[str, str]:
        word = {None: "waits", True: "approved", False: "declined"}[adjustment.approved]
        return word, word


class OpenFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("open", "Open"), ("mine", "Mine"), ("nobody", "Nobody's"), ("closed", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "closed":
            return queryset.filter(closed_at__isnull=False)
        owner = {"mine": Q(owner=request.user.pk), "nobody": Q(owner=None)}.get(self.value() or "", Q())
        return queryset.filter(owner, closed_at=None) if self.value() != "all" else queryset


class KindFilter(admin.SimpleListFilter):
    title, parameter_name = "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return Case.Kind.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Case)
class CaseTable(PageTable):
    """The queue: without a filter, what is open."""

    list_display = ("what", "age", "briefly", "owner", "state")
    list_select_related = ("owner", "customer")
    list_filter = (OpenFilter, KindFilter)
    key = "id"
    bounded = False
    page_template = "office/case.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("owner", "customer", "closed_by")

    def about(self, found: Case) -> dict[str, Any]:
        return {
            "trade_id": found.trade_id,
            "customer_id": found.customer_id,
            "subject": f"exception {found.id}: {found}",
        }

    def page_of(self, request: HttpRequest, found: Case) -> dict[str, Any]:
        return {
            "case": found,
            "actions": offered(request, "case", found),
            "what_to_do": WHAT_TO_DO[found.kind],
            "report": Report.objects.filter(id=found.report_id).first() if found.report_id else None,
            "trade": Trade.objects.filter(id=found.trade_id).first() if found.trade_id else None,
            "age": trade_page.since(found.found_at),
        }

    @display(description="detail")
    def briefly(self, case: Case) -> str:
        return case.detail if len(case.detail) <= 140 else f"{case.detail[:139]}…"

    @display(description="exception")
    def what(self, case: Case) -> str:
        return case.get_kind_display()

    @display(description="age")
    def age(self, case: Case) -> str:
        return trade_page.since(case.found_at)

    @display(description="state", label={"open": "warning", "closed": "success"})
    def state(self, case: Case) -> tuple[str, str]:
        word = "closed" if case.closed_at else "open"
        return word, word


@admin.register(Proof)
class ProofTable(Table):
    list_display = (
        moment("at", "at"), "ok", "customers", "trades", "postings", "violations_count", "took_ms", "asked_by",
    )  # fmt: skip
    key = "id"
    bounded = False


@admin.register(Reconciliation)
class ReconciliationTable(Table):
    list_display = (moment("at", "at"), "orders", "fills", "tickers", "breaks", "took_ms", "asked_by")
    list_display_links = None
    key = "id"
    bounded = False


class ActionFilter(Exact):
    title, parameter_name, field = "action", "action", "action"


class StaffFilter(Exact):
    title, parameter_name, field = "staff (e-mail)", "staff", "staff"


class AuditDayFilter(DayFilter):
    field = "at"


@admin.register(AuditEntry)
class AuditTable(Table):
    """Who saw what, who did what. For one customer or one trade by filter; exported like every list."""

    power = Power.AUDIT
    list_display = (
        "number", moment("at", "at"), "who", "what", "subject", "reason", "changed",
    )  # fmt: skip
    list_filter = (CustomerFilter, TradeFilter, StaffFilter, ActionFilter, AuditDayFilter)
    key = "number"
    exported = (
        ("number", lambda entry: entry.number),
        ("at", lambda entry: entry.at),
        ("staff", lambda entry: entry.staff),
        ("address", lambda entry: entry.address),
        ("action", lambda entry: entry.action),
        ("outcome", lambda entry: entry.outcome),
        ("customerId", lambda entry: entry.customer_id),
        ("tradeId", lambda entry: entry.trade_id),
        ("subject", lambda entry: entry.subject),
        ("reason", lambda entry: entry.reason),
        ("before", lambda entry: entry.before),
        ("after", lambda entry: entry.after),
        ("digest", lambda entry: entry.digest),
    )

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        asked = changes.filter_params
        return "number", bool(asked) and not asked.keys() & {"customer", "trade"}

    @display(description="who, from where")
    def who(self, entry: AuditEntry) -> str:
        return format_html("{}<br><small>{}</small>", entry.staff, entry.address)

    @display(description="what")
    def what(self, entry: AuditEntry) -> str:
        return format_html("{}<br><small>{}</small>", entry.action, entry.get_outcome_display())

    @display(description="before → after")
    def changed(self, entry: AuditEntry) -> str:
        if not (isinstance(entry.before, dict) and isinstance(entry.after, dict)):
            return ""
        names = [name for name in entry.after if entry.before.get(name) != entry.after[name] and name in entry.before]
        return "; ".join(f"{name}: {entry.before[name]} → {entry.after[name]}" for name in names)
