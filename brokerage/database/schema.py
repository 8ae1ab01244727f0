"""The tables of a new database, written down, so that it need not run every migration since the first.

`schema.sql` has what the migrations that it lists at its end make. `make schema` writes it, and a test compares both.
It may be older than the newest migrations: `migrate` runs what it doesn't list.
"""

from pathlib import Path

from django.db import connection, transaction

FILE = Path(__file__).with_name("schema.sql")


def is_new() -> bool:
    """Return whether the database has no tables yet."""
    with connection.cursor() as cursor:
        return not connection.introspection.table_names(cursor)


def create() -> None:
    """Create the tables in a new database, and record the migrations that would have made them; all or nothing."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        # SQL functions may name tables that come later in the file.
        cursor.execute("SET LOCAL check_function_bodies = false")
        cursor.execute(FILE.read_text())
