"""Splitting long documents into numbered parts, so that the work of one request is limited."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

DIGITS_MAX = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a long document: its number, from 1, the number of parts, and its rows."""

    number: int
    count: int
    rows: QuerySet[Any]


def requested_part(request: HttpRequest) -> int:
    """Return the number of the requested part; 1 if the request names none, 0 if the parameter isn't a number."""
    part = request.GET.get("part", "1")
    return int(part) if part.isascii() and part.isdecimal() and len(part) <= DIGITS_MAX else 0


def part_numbers(rows: int, rows_a_part: int) -> range:
    """Return the part numbers of this many rows, from 1. Without rows there is one empty part."""
    return range(1, 1 + max(1, -(-rows // rows_a_part)))


def fit_one_part(rows: QuerySet[Any], rows_a_part: int) -> bool:
    """Return whether one part holds all of these rows. Reads no more of them than fit, where a count reads all."""
    return not rows[rows_a_part : rows_a_part + 1].exists()


def get_part(rows: QuerySet[Any], rows_a_part: int, number: int) -> Part:
    """Return one part of these rows.

    Raises:
        Http404: There is no such part.
    """
    parts = part_numbers(rows.count(), rows_a_part)
    if number not in parts:
        raise Http404("There is no such part.")
    return Part(number, len(parts), rows[(number - 1) * rows_a_part : number * rows_a_part])
