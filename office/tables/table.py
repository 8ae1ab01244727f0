"""The base classes of all lists and of the pages of their rows: read-only, and recorded in the audit log."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from office import audit
from office.access import actor_of
from office.actions.targets import Target
from office.models import AuditEntry
from office.roles import Power, may
from office.tables import views
from office.tables.export import Column, csv_response
from office.tables.filters import number
from office.tables.keyset import NOT_FILTERS, ROWS_PER_PAGE, KeysetChangeList

Outcome = AuditEntry.Outcome


class Table(ModelAdmin):  # type: ignore[misc]
    """A read-only list of rows with keyset pagination. Books, trades and history change only through the verbs.

    Attributes:
        power: The power that is needed to see the list.
        exported: The columns of the CSV file.
        shows_customers: False if the rows are not about customers.
        has_pages: Whether each row has a page of its own.
        key: The column to paginate by.
        bounded: Whether to limit the scan where no index serves the filters or the search.
        indexed_filters: The filters that an index serves, whatever else is chosen.
        search_is_indexed: Whether an index serves the search.
    """

    actions = None
    list_per_page = ROWS_PER_PAGE
    list_fullwidth = True
    list_filter_submit = True
    list_filter_sheet = True
    show_full_result_count = False
    sortable_by: Sequence[str] = ()
    change_list_template = "office/list.html"
    key = "pk"
    bounded = True
    indexed_filters: Collection[str] = ()
    search_is_indexed = False
    power = Power.READ
    shows_customers = True
    has_pages = False
    exported: Sequence[Column] = ()

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        """Return the column to paginate by, and whether to limit the scan because no index serves the filters."""
        filters, searched = changes.filter_params, bool(changes.query)
        is_indexed = bool(filters.keys() & set(self.indexed_filters)) or (searched and self.search_is_indexed)
        return self.key, self.bounded and bool(filters or searched) and not is_indexed

    def prepare(self, rows: list[Any]) -> None:
        """Read data that the columns need, for all rows of a page at once."""

    def newest_of(self, changes: KeysetChangeList) -> Any:
        """Return the key below which the rows begin; None for the newest row."""
        return None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        """Page by key."""
        return KeysetChangeList

    def get_ordering(self, request: HttpRequest) -> Sequence[str]:
        return ()

    def get_list_display(self, request: HttpRequest) -> Sequence[Any]:
        """Return the columns that this member of staff has chosen, or all."""
        return views.chosen_columns(request, self)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request.user, self.power)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request.user, self.power)

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the URLs of the export and of the choice of columns and filters."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [
            path("export/", self.admin_site.admin_view(self.export), name=name),
            path("view/", self.admin_site.admin_view(self.change_my_view), name=name.replace("export", "view")),
            *super().get_urls(),
        ]

    def change_my_view(self, request: HttpRequest) -> HttpResponse:
        """Save or delete a filter, or choose columns (POST), for this member of staff only."""
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(views.change(request, self))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """Show a page of the list."""
        can_export = bool(self.exported) and may(request.user, Power.EXPORT)
        more = {
            "export_link": f"export/?{request.GET.urlencode()}" if can_export else None,
            "view": views.of(request, self),
        }
        response: HttpResponseBase = super().changelist_view(request, (extra_context or {}) | more)
        changes = getattr(response, "context_data", {}).get("cl")
        if changes is not None:
            self._record_seen(request, f"list {self.opts.verbose_name_plural}", changes)
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refuse: only rows of a PageTable have a page, which is recorded in the audit log."""
        raise PermissionDenied if request.method == "POST" else Http404

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refuse, before the row is read."""
        raise PermissionDenied

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refuse: the history is in the audit log, not in Django's own log."""
        raise Http404

    def customer_id_of(self, row: Any) -> int | None:
        """Return the customer that a row is about."""
        return getattr(row, "customer_id", None)

    def _record_seen(self, request: HttpRequest, action: str, changes: KeysetChangeList, always: bool = False) -> None:
        """Record in the audit log the customers whose rows were shown."""
        rows = changes.result_list if self.shows_customers else []
        filters = {name: value for name, value in request.GET.items() if name not in NOT_FILTERS}
        customer_ids = [self.customer_id_of(row) for row in rows]
        if self.shows_customers and filters.get("customer"):
            with suppress(ValueError):
                customer_ids.append(number(str(filters["customer"])))  # an empty list also reveals something
        audit.record_seen(actor_of(request), action, customer_ids, subject=str(self.opts), asked=filters, always=always)

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """Send all filtered rows as CSV."""
        if not self.exported or not may(request.user, Power.EXPORT) or not self.has_view_permission(request):
            raise PermissionDenied
        try:
            changes = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            messages.error(request, "These filters are not valid.")
            return HttpResponseRedirect("..")
        self._record_seen(request, "export", changes, always=True)
        return csv_response(f"{self.opts.model_name}s", self.exported, changes.every_row())


class PageTable(Table):
    """A list whose rows have a page of their own. `target` describes the row in the audit log."""

    has_pages = True
    page_template = ""
    target: Target[Any]

    def page_of(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the data of the page of a row."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of a row, and record that in the audit log."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.target.load(object_id)
        audit.record(actor_of(request), f"see {self.opts.verbose_name}", Outcome.SEEN, **self.target.describe(row))
        context = self.admin_site.each_context(request) | {"opts": self.opts, "original": row, "title": str(row)}
        return TemplateResponse(request, self.page_template, context | self.page_of(request, row))
