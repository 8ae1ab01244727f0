"""Lists of big tables: pages by key, and never a count, an offset or an unbounded scan.

A page looks at LOOK_BACK_ROWS rows at most, the newest first, and says how far it looked where it found too few. So it
costs the same with a thousand rows and with a hundred million, whatever is filtered for.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from office import audit
from office.access import actor_of
from office.models import AuditEntry
from office.roles import Power, may

ROWS_A_PAGE = 50
LOOK_BACK_ROWS = 30_000
AFTER = "after"


def window(rows: QuerySet, key: str, look_back_rows: int = LOOK_BACK_ROWS) -> Any:
    """The key that is look_back_rows behind the newest of these unfiltered rows; None where there are fewer."""
    found = rows.order_by(f"-{key}").values_list(key, flat=True)[look_back_rows : look_back_rows + 1]
    return next(iter(found), None)


class _Paginator:
    """What the templates ask of a paginator."""

    template_name = "office/pagination.html"
    per_page = ROWS_A_PAGE
    count = num_pages = 1


class KeysetChangeList(ChangeList):
    """A page of a list. `older`: the next page's cursor; `looked_back`: it begins where this one stopped looking."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.after = request.GET.get(AFTER)
        super().__init__(request, *args, **kwargs)
        self.params.pop(AFTER, None)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found = super().get_filters_params(params)
        found.pop(AFTER, None)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet:
        try:
            return super().get_queryset(request, exclude_parameters)
        except (ValueError, OverflowError, ValidationError) as error:  # what was typed into a filter makes no sense
            raise IncorrectLookupParameters from error

    def get_results(self, request: HttpRequest) -> None:
        admin: Any = self.model_admin
        key, bounded = admin.key_of(self)
        rows = self.queryset.order_by(f"-{key}")
        boundary = None
        try:
            if self.after:
                rows = rows.filter(**{f"{key}__lt": self.after})
            if bounded:
                every = admin.model._default_manager.all()
                start = self.after or admin.newest_of(self)
                boundary = window(every.filter(**{f"{key}__lt": start}) if start else every, key)
                if boundary is not None:
                    rows = rows.filter(**{f"{key}__gte": boundary})
            found = list(rows[: ROWS_A_PAGE + 1])
        except (ValueError, TypeError, ValidationError) as error:
            raise IncorrectLookupParameters from error
        self.result_list = found[:ROWS_A_PAGE]
        self.older = self.looked_back = None
        if len(found) > ROWS_A_PAGE:
            self.older = str(getattr(self.result_list[-1], key))
        elif boundary is not None:
            self.older = self.looked_back = str(boundary)
        self.result_count = len(self.result_list)
        self.full_result_count, self.show_full_result_count = self.result_count, False
        self.can_show_all = self.multi_page = self.show_all = False
        self.page_num = 1
        self.paginator = _Paginator()
        if self.older:
            self.older_link = self.get_query_string({AFTER: self.older})
        self.newest_link = self.get_query_string({}) if self.after else None


class Table(ModelAdmin):
    """The base of every list: reads, never edits, by key. `power`: who may see it; `exported`: columns of the CSV."""

    actions = None
    list_per_page = ROWS_A_PAGE
    list_fullwidth = True
    list_filter_submit = True
    list_filter_sheet = True
    show_full_result_count = False
    sortable_by: Sequence[str] = ()
    key = "pk"
    bounded = True
    power = Power.READ
    exported: Sequence[tuple[str, Callable[[Any], Any]]] = ()
    change_list_template = "office/list.html"

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        """By which column this page goes, and whether it must be bounded because no index serves its filters."""
        return self.key, self.bounded and bool(changes.filter_params or changes.query)

    def newest_of(self, changes: KeysetChangeList) -> Any:
        """The key below which looking back begins; None: the newest row."""
        return None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_ordering(self, request: HttpRequest) -> Sequence[str]:
        return ()

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
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export), name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._note_whose(request)
        can_export = bool(self.exported) and may(request.user, Power.EXPORT)
        more = {"export_link": f"export/?{request.GET.urlencode()}" if can_export else None}
        return super().changelist_view(request, (extra_context or {}) | more)

    def _whose(self, request: HttpRequest) -> int | None:
        # The audit log is about staff, whomever they saw.
        asked = request.GET.get("customer", "").strip() if self.power == Power.READ else ""
        return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else None

    def _note_whose(self, request: HttpRequest) -> None:
        """Who lists what is one customer's has seen that customer."""
        customer_id = self._whose(request)
        if customer_id is not None and self.has_view_permission(request):
            what = f"list {self.opts.verbose_name_plural}"
            audit.record(actor_of(request), what, AuditEntry.Outcome.SEEN, customer_id=customer_id)

    def export(self, request: HttpRequest) -> Any:
        """Everything that the list's filters let through, as CSV, row by row as the database gives it."""
        if not self.exported or not may(request.user, Power.EXPORT) or not self.has_view_permission(request):
            raise PermissionDenied
        try:
            changes = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            messages.error(request, "These filters make no sense.")
            return HttpResponseRedirect("..")
        asked = {name: value for name, value in request.GET.items() if name != AFTER}
        audit.record(
            actor_of(request),
            "export",
            AuditEntry.Outcome.SEEN,
            subject=str(self.opts),
            after=asked,
            customer_id=self._whose(request),
        )
        return stream(f"{self.opts.model_name}s", self.exported, self._everything(changes))

    def _everything(self, changes: KeysetChangeList) -> Iterator[Any]:
        """Every row, window by window, so that no statement is long, whatever the filters find."""
        key, _ = self.key_of(changes)
        every, below = self.model._default_manager.all(), self.newest_of(changes)
        while True:
            boundary = window(every.filter(**{f"{key}__lt": below}) if below else every, key)
            rows = changes.queryset.order_by(f"-{key}")
            if below:
                rows = rows.filter(**{f"{key}__lt": below})
            if boundary is not None:
                rows = rows.filter(**{f"{key}__gte": boundary})
            yield from rows.iterator(chunk_size=2000)
            if boundary is None:
                return
            below = boundary


class _Echo:
    def write(self, text: str) -> str:
        return text


def stream(name: str, columns: Sequence[tuple[str, Callable[[Any], Any]]], rows: Iterator[Any]) -> Any:
    """A CSV file, row by row."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield writer.writerow([title for title, _ in columns])
        for row in rows:
            yield writer.writerow([cell(value(row)) for _, value in columns])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    stamp = timezone.now().strftime("%Y%m%d-%H%M%S")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{stamp}.csv"'
    return answer


def cell(value: Any) -> str:
    """A value as a spreadsheet may open it: text that it would take for a formula is marked as text."""
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
