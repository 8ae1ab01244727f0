"""Long documents in parts, so that no request does more than so much: which part is asked for, and what is in it."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

DIGITS_MAX = 5


def part_asked(request: HttpRequest) -> int:
    """Return the number of the part that a request asks for, from 1; 1 if it asks for none, 0 if it is no number."""
    part = request.GET.get("part", "1")
    return int(part) if part.isascii() and part.isdecimal() and len(part) <= DIGITS_MAX else 0


def parts_of(rows: QuerySet[Any], rows_a_part: int) -> range:
    """Return the numbers of the parts that these rows make, from 1. No rows make one part."""
    return range(1, 1 + max(1, -(-rows.count() // rows_a_part)))


def part_of(rows: QuerySet[Any], rows_a_part: int, part: int) -> QuerySet[Any]:
    """Return the rows of one part. Raises Http404 if there is no such part."""
    if part not in parts_of(rows, rows_a_part):
        raise Http404("There is no such part.")
    return rows[(part - 1) * rows_a_part : part * rows_a_part]
