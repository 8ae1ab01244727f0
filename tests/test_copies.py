"""A copy of a customer leaves the same rows as the original."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import Customer
from tests import copies, people

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
# Both begin with the same numbers, so that numbers can be compared, wherever they are.
RESTART = "SELECT setval(oid, 1000) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def rows_of(make: Callable[[], Customer]) -> dict[str, list[Any]]:
    """Return all rows of each table after a customer was made, and the customer itself; undo it all."""
    before = transaction.savepoint()
    with connection.cursor() as cursor:
        cursor.execute(RESTART)
        customer = make()
        cursor.execute(TABLES)
        rows = {}
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY to_jsonb(t) ->> 'id'")
            rows[table] = [json.loads(row) for (row,) in cursor.fetchall()]
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        rows["made"] = [{name: getattr(customer, name) for name in [*rows["accounts_customer"][0], "is_anonymous"]}]
    transaction.savepoint_rollback(before)
    return rows


def comparable(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows with UUIDs and times replaced by their places, and without digests and passwords."""
    values = [value for table in rows.values() for row in table for value in row.values()]
    uuids = sorted({uuid for value in values if isinstance(value, str) for uuid in UUID.findall(value)})
    times = sorted({time for value in values if (time := time_of(value))})

    def replaced(value: Any, row: dict[str, Any]) -> Any:
        if time := time_of(value):
            return f"time {times.index(time)}"
        if isinstance(value, str) and value in {
            f"\\x{sha256(str(text).encode()).hexdigest()}" for text in row.values()
        }:
            return "digest"
        return UUID.sub(lambda uuid: f"uuid {uuids.index(uuid[0])}", value) if isinstance(value, str) else value

    return {
        table: [
            {name: replaced(value, row) for name, value in row.items() if name != "password"} for row in rows[table]
        ]
        for table in rows
    }


def time_of(value: Any) -> datetime | None:
    try:
        return value if isinstance(value, datetime) else datetime.fromisoformat(value) if "T" in value else None
    except (TypeError, ValueError):
        return None


@pytest.mark.django_db
@pytest.mark.parametrize("make", [people.alice, people.bob])
def test_a_copy_leaves_the_same_rows_as_the_original(make: Callable[[], Customer]) -> None:
    assert comparable(rows_of(lambda: copies.copy_of(make))) == comparable(rows_of(make))
