"""Personal settings of lists: the columns that each member of staff has chosen, and saved filters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict

from exchange.messages import storable
from office.access import staff_of
from office.models import ColumnChoice, SavedFilter
from office.tables.keyset import NOT_FILTERS

if TYPE_CHECKING:
    from office.tables.table import Table

FILTERS_MAX = 20  # for each member of staff and list


def label_of(table: "Table") -> str:
    """Return the name under which the settings of a list are stored."""
    return str(table.opts.label_lower)


def name_of(column: Any) -> str:
    """Return the name of a column."""
    return column if isinstance(column, str) else str(column.__name__)


def title_of(table: "Table", column: Any) -> str:
    """Return the title of a column, as the list shows it."""
    method = getattr(table, column, None) if isinstance(column, str) else column
    title = getattr(method, "short_description", None) or name_of(column)
    return str(title).replace("_", " ").capitalize()


def chosen_columns(request: HttpRequest, table: "Table") -> Sequence[Any]:
    """Return the columns that this member of staff chose, or all of them."""
    choice = ColumnChoice.objects.filter(staff=staff_of(request), table=label_of(table)).first()
    chosen = [column for column in table.list_display if choice and name_of(column) in choice.columns]
    return chosen or table.list_display


def of(request: HttpRequest, table: "Table") -> dict[str, Any]:
    """Return the settings that the list shows: all columns, each with whether it is shown, and the saved filters."""
    chosen = {name_of(column) for column in chosen_columns(request, table)}
    return {
        "columns": [
            (name_of(column), title_of(table, column), name_of(column) in chosen) for column in table.list_display
        ],
        "filters": list(SavedFilter.objects.filter(staff=staff_of(request), table=label_of(table)).order_by("name")),
        "query": _filters_of(request.GET),
    }


def change(request: HttpRequest, table: "Table") -> str:
    """Apply the submitted settings, and return the URL of the list."""
    staff, label = staff_of(request), label_of(table)
    query = _filters_of(QueryDict(request.POST.get("query", "")[:2000]))
    name = storable(request.POST.get("name", ""), 60).strip()
    saved = SavedFilter.objects.filter(staff=staff, table=label)
    if "columns" in request.POST:
        known = [name_of(column) for column in table.list_display]
        columns = [column for column in known if column in request.POST.getlist("column")]
        ColumnChoice.objects.update_or_create(staff=staff, table=label, defaults={"columns": columns})
    elif "forget" in request.POST:
        SavedFilter.objects.filter(staff=staff, table=label, name=name).delete()
    elif name and query and (saved.filter(name=name).exists() or saved.count() < FILTERS_MAX):
        SavedFilter.objects.update_or_create(staff=staff, table=label, name=name, defaults={"query": query})
    return f"../?{query}" if query else "../"


def _filters_of(query: QueryDict) -> str:
    """Return the filters in a query, without the parameters that select the page or the columns."""
    pairs = [(storable(name), storable(value)) for name, value in query.items() if value and name not in NOT_FILTERS]
    return urlencode([(name, value) for name, value in pairs if name != "e"])[:2000]
