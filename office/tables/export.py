"""CSV files that spreadsheets can open safely, sent row by row."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

Column = tuple[str, Callable[[Any], Any]]


class _Echo:
    def write(self, text: str) -> str:
        return text


def lines(columns: Sequence[Column], rows: Iterable[Any]) -> Iterator[str]:
    """Yield the lines of a CSV file: the titles of the columns, then the rows."""
    writer = csv.writer(_Echo())
    yield writer.writerow([title for title, _ in columns])
    for row in rows:
        yield writer.writerow([cell(value(row)) for _, value in columns])


def stream(name: str, columns: Sequence[Column], rows: Iterable[Any]) -> StreamingHttpResponse:
    """Return a response that sends a CSV file as the rows are read. The name gets a date and the extension."""
    response = StreamingHttpResponse(lines(columns, rows), content_type="text/csv; charset=utf-8")
    stamp = timezone.now().strftime("%Y%m%d-%H%M%S")
    response["Content-Disposition"] = f'attachment; filename="{name}-{stamp}.csv"'
    return response


def cell(value: Any) -> str:
    """Return a value as a spreadsheet may open it: text that looks like a formula is marked as text."""
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
