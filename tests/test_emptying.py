"""Rows that a test commits are deleted before the next one, and all triggers are enabled again."""

import pytest
from django.db import connection

from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.emptying import delete_rows
from tests.history import customer_with_history

TABLES = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
TRIGGERS = "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2"


@pytest.mark.django_db(transaction=True)
def test_every_row_is_deleted_and_every_trigger_stays_enabled(alice: Customer, exchange: StandInExchange) -> None:
    customer_with_history()
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS)
        triggers = cursor.fetchall()
        delete_rows()
        cursor.execute(TABLES)
        tables = [table for (table,) in cursor.fetchall()]
        nonempty_tables = set()
        for table in tables:
            cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")
            if cursor.fetchone():
                nonempty_tables.add(table)
        cursor.execute(TRIGGERS)
        assert cursor.fetchall() == triggers
    assert nonempty_tables == {"django_migrations", "django_content_type", "auth_permission"}
