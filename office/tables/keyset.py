"""Keyset pagination of big tables: no count, no offset, no unbounded scan.

A page reads at most LOOK_BACK_ROWS rows, newest first, and says how far it looked if it found too few. So it costs the
same with a thousand rows as with a hundred million, whatever the filters.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch
from unfold.views import ChangeList

ROWS_PER_PAGE = 50
LOOK_BACK_ROWS = 30_000
EXPORT_BATCH_ROWS = 2000
AFTER = "after"
COLUMNS = "columns"
NOT_FILTERS = (AFTER, COLUMNS)
# The errors that an invalid value in a URL can raise on its way into a query.
INVALID_VALUE_ERRORS = (ValueError, TypeError, OverflowError, ValidationError, DataError)


def window(rows: QuerySet[Any], key: str, look_back_rows: int | None = None) -> Any:
    """Return the key of the row that is `look_back_rows` behind the newest of these rows; None if there are fewer.

    Args:
        rows: Unfiltered rows.
        look_back_rows: LOOK_BACK_ROWS by default.
    """
    last = look_back_rows or LOOK_BACK_ROWS
    keys = rows.order_by(f"-{key}").values_list(key, flat=True)[last : last + 1]
    return next(iter(keys), None)


class _Paginator:
    """The attributes of a paginator that the templates use."""

    template_name = "office/pagination.html"
    per_page = ROWS_PER_PAGE
    count = num_pages = 1


class KeysetChangeList(ChangeList):  # type: ignore[misc]
    """One page of a list.

    `older` is the key at which the next page begins; `looked_back` is the same if this page stopped looking there.
    """

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.after = request.GET.get(AFTER)
        self.older: str | None = None
        self.looked_back: str | None = None
        self.older_link = self.newest_link = ""
        super().__init__(request, *args, **kwargs)
        for name in NOT_FILTERS:
            self.params.pop(name, None)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the filters without the parameters that select the page or the columns."""
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in NOT_FILTERS}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the filtered rows.

        Raises:
            IncorrectLookupParameters: A value in the URL is not valid.
        """
        try:
            rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
            return rows
        except INVALID_VALUE_ERRORS as error:
            raise IncorrectLookupParameters from error

    def url_for_result(self, result: Any) -> str:
        """Return the address of a row's page.

        Raises:
            NoReverseMatch: It has none. The list then shows the first column without a link, as the heading of the row.
        """
        if not self.model_admin.has_pages:
            raise NoReverseMatch
        address: str = super().url_for_result(result)
        return address

    def get_results(self, request: HttpRequest) -> None:
        """Read one page, and find out where the next one begins."""
        try:
            found, boundary = self._read()
        except INVALID_VALUE_ERRORS as error:
            raise IncorrectLookupParameters from error
        self.result_list = found[:ROWS_PER_PAGE]
        self.model_admin.prepare(self.result_list)
        if len(found) > ROWS_PER_PAGE:
            self.older = str(getattr(self.result_list[-1], self.model_admin.key_of(self)[0]))
        elif boundary is not None:
            self.older = self.looked_back = str(boundary)
        self.result_count = len(self.result_list)
        self.full_result_count, self.show_full_result_count = self.result_count, False
        self.can_show_all = self.multi_page = self.show_all = False
        self.page_num = 1
        self.paginator = _Paginator()
        if self.older:
            self.older_link = self.get_query_string({AFTER: self.older})
        if self.after:
            self.newest_link = self.get_query_string({})

    def _read(self) -> tuple[list[Any], Any]:
        table: Any = self.model_admin
        key, bounded = table.key_of(self)
        rows = self.queryset.order_by(f"-{key}")
        if self.after:
            rows = rows.filter(**{f"{key}__lt": self.after})
        boundary = None
        if bounded:
            start = self.after or table.newest_of(self)
            boundary = window(_below(table.model._default_manager.all(), key, start), key)
            rows = _from(rows, key, boundary)
        return list(rows[: ROWS_PER_PAGE + 1]), boundary

    def every_row(self) -> Iterator[Any]:
        """Yield all filtered rows, window by window, so that no query takes long."""
        table: Any = self.model_admin
        key, _ = table.key_of(self)
        unfiltered, start = table.model._default_manager.all(), table.newest_of(self)
        while True:
            boundary = window(_below(unfiltered, key, start), key)
            rows = _from(_below(self.queryset.order_by(f"-{key}"), key, start), key, boundary)
            yield from rows.iterator(chunk_size=EXPORT_BATCH_ROWS)
            if boundary is None:
                return
            start = boundary


def _below(rows: QuerySet[Any], key: str, start: Any) -> QuerySet[Any]:
    return rows.filter(**{f"{key}__lt": start}) if start else rows


def _from(rows: QuerySet[Any], key: str, boundary: Any) -> QuerySet[Any]:
    return rows if boundary is None else rows.filter(**{f"{key}__gte": boundary})
