"""CSV files that spreadsheets can open safely."""

import csv
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from itertools import islice
from typing import Any

from django.http import HttpResponse
from django.utils import timezone

from web.spreadsheets import as_text

ROWS_MAX = 50_000  # in one file, to limit the work of a request

Column = tuple[str, Callable[[Any], Any]]


def csv_response(name: str, columns: Sequence[Column], rows: Iterable[Any]) -> HttpResponse:
    """Return a CSV file with a header and at most ROWS_MAX rows. A timestamp and the extension are added to the name.

    If there are more rows, the last line says so.
    """
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow([title for title, _ in columns])
    count = 0
    for count, row in enumerate(islice(rows, ROWS_MAX + 1), start=1):
        if count <= ROWS_MAX:
            writer.writerow([cell(value(row)) for _, value in columns])
    if count > ROWS_MAX:
        writer.writerow([f"There are more than {ROWS_MAX:,} rows. Filter the list, and export it in parts."])
    response = HttpResponse(file.getvalue(), content_type="text/csv; charset=utf-8")
    stamp = timezone.now().strftime("%Y%m%d-%H%M%S")
    response["Content-Disposition"] = f'attachment; filename="{name}-{stamp}.csv"'
    return response


def cell(value: Any) -> str:
    """Format a value so that a spreadsheet can open it safely: text that looks like a formula is marked as text."""
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return as_text(value) if isinstance(value, str) else str(value)
