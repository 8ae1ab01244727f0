"""Gains as a CSV file."""

import csv
from io import StringIO
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse

from accounts.gains import gains_of
from web.parts import get_part
from web.spreadsheets import as_text

COLUMNS = (
    "stock",
    "shares",
    "acquired",
    "sold",
    "proceeds (USD)",
    "cost (USD)",
    "gain (USD)",
    "term",
    "wash sale",
    "trade",
)
PIECES_A_FILE = 20_000


def gains_csv(customer_id: int, year: int, part: int = 1) -> HttpResponse:
    """Return one part of a year's gains as a CSV response, oldest first.

    Raises:
        Http404: The year has fewer parts.
    """
    sold = gains_of(customer_id, year).order_by("closed_on", "id")
    response = HttpResponse(_csv(get_part(sold, PIECES_A_FILE, part).rows), content_type="text/csv; charset=utf-8")
    name = f"gains-{year}.csv" if part == 1 else f"gains-{year}-part-{part}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _csv(sold: QuerySet[Any, Any]) -> str:
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for piece in sold.iterator(chunk_size=1000):
        term, wash = "long" if piece.is_long_term else "short", "yes" if piece.is_wash_sale else ""
        writer.writerow(
            [
                *(as_text(piece.ticker), piece.quantity, piece.acquired_on, piece.closed_on),
                *(piece.proceeds, piece.cost, piece.gain, term, wash, piece.cause),
            ]
        )
    return file.getvalue()
