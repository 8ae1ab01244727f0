"""Long documents in parts, so that no request does more than so much: which part is asked for, and what is in it."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

DIGITS_MAX = 5


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a long document, counted from 1, of so many parts, with its rows."""

    number: int
    count: int
    rows: QuerySet[Any]


def part_asked(request: HttpRequest) -> int:
    """Return the number of the part that a request asks for, from 1; 1 if it asks for none, 0 if it is no number."""
    part = request.GET.get("part", "1")
    return int(part) if part.isascii() and part.isdecimal() and len(part) <= DIGITS_MAX else 0


def parts_of(rows: QuerySet[Any], rows_a_part: int) -> range:
    """Return the numbers of the parts that these rows make, from 1. No rows make one part."""
    return range(1, 1 + max(1, -(-rows.count() // rows_a_part)))


def part_of(rows: QuerySet[Any], rows_a_part: int, number: int) -> Part:
    """Return one part of these rows. Raises Http404 if there is no such part."""
    parts = parts_of(rows, rows_a_part)
    if number not in parts:
        raise Http404("There is no such part.")
    return Part(number, len(parts), rows[(number - 1) * rows_a_part : number * rows_a_part])
