"""List parameters arrive as arrays."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, connection

from trades.models import Status

TRICKY_TEXTS = [
    "",
    " ",
    "NULL",
    "null",
    "{}",
    "{a,b}",
    '"',
    "\\",
    '\\"',
    "a,b",
    "'; DROP TABLE x --",
    "%s",
    "é€😀",
    "\n\t",
    "\x01",
]
ID = UUID("0193a9a0-0000-7000-8000-000000000000")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("text", TRICKY_TEXTS, TRICKY_TEXTS),
        ("text", ["a", None, ""], ["a", None, ""]),
        ("text", [Status.IN_PROGRESS], ["IN PROGRESS"]),
        ("bigint", [], []),
        ("bigint", [1, -1, 2**63 - 1], [1, -1, 2**63 - 1]),
        ("numeric", [Decimal("1.2300"), None, Decimal("1E+3")], [Decimal("1.2300"), None, Decimal("1000")]),
        ("uuid", [ID, None], [ID, None]),
        ("bytea", [b"", b"\x00\xff\\'\""], [b"", b"\x00\xff\\'\""]),
        ("float8", [0.1, 1e300, float("inf")], [0.1, 1e300, float("inf")]),
        ("boolean", [True, False], [True, False]),
        ("timestamptz", [datetime(2026, 1, 2, 3, 4, 5, 6, UTC)], [datetime(2026, 1, 2, 3, 4, 5, 6, UTC)]),
    ],
)
def test_lists_round_trip_as_arrays(kind: str, values: list[Any], expected: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [values])
        assert cursor.fetchone()[0] == expected


@pytest.mark.django_db
def test_a_nul_byte_is_refused_inside_an_array_too() -> None:
    with connection.cursor() as cursor, pytest.raises(DataError, match="NUL"):
        cursor.execute("SELECT %s::text[]", [["a\x00b"]])
