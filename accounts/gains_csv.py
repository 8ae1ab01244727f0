"""Gains as a CSV file."""

import csv
from io import StringIO
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse

from accounts.gains import gains_of
from web.documents import making
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


def gains_csv(customer_id: int, year: int) -> HttpResponse:
    """Answer with every piece that was sold in a year, oldest first."""
    with making.turn(customer_id):
        response = HttpResponse(_csv(gains_of(customer_id, year)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="gains-{year}.csv"'
    return response


def _csv(sold: QuerySet[Any, Any]) -> str:
    file = StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for piece in sold.order_by("closed_on", "id").iterator(chunk_size=1000):
        term, wash = "long" if piece.is_long_term else "short", "yes" if piece.is_wash_sale else ""
        writer.writerow(
            [
                *(as_text(piece.ticker), piece.quantity, piece.acquired_on, piece.closed_on),
                *(piece.proceeds, piece.cost, piece.gain, term, wash, piece.cause),
            ]
        )
    return file.getvalue()
