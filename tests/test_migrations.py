"""Migrations match the models, and each can be reversed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from psycopg import sql

pytestmark = pytest.mark.process

PROJECT = Path(__file__).resolve().parent.parent
# An app precedes those on which it depends.
APPS = ("office", "webhooks", "trades", "exchange", "alpaca_api", "accounts")


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Create an empty database on the tests' server; return its URL."""
    server = os.environ["DATABASE_URL"]
    name = f"migrations_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def migrate(database: str, *arguments: str) -> None:
    completed = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0", *arguments],
        cwd=PROJECT,
        env=os.environ | {"DATABASE_URL": database},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr


def schema(database: str) -> list[tuple[str, str, str]]:
    """Return every column, constraint, index and trigger of our apps' tables, as the database defines them.

    A trigger names its function, whose name contains a hash of its code.
    """
    with psycopg.connect(database) as connection:
        return connection.execute(SCHEMA, [[f"{app}_%" for app in APPS]]).fetchall()


def test_every_migration_can_be_reversed_and_applied_again(empty_database: str) -> None:
    migrate(empty_database)
    before = schema(empty_database)
    assert {kind for kind, _, _ in before} == {"column", "constraint", "index", "trigger"}
    for app in APPS:
        migrate(empty_database, app, "zero")
    assert schema(empty_database) == []
    migrate(empty_database)
    assert schema(empty_database) == before


def test_migrating_keeps_both_kinds_of_watchlists(empty_database: str) -> None:
    migrate(empty_database, "accounts", "0006")
    migrate(empty_database, "alpaca_api", "0001")
    with psycopg.connect(empty_database) as connection:
        (customer,) = connection.execute(
            "INSERT INTO accounts_customer (email, password, name, is_active, is_staff, is_superuser, theme, time_zone)"
            " VALUES ('old@example.com', '', '', true, false, false, 'system', '') RETURNING id"
        ).fetchone() or (0,)
        connection.execute(
            "INSERT INTO accounts_watched (customer_id, ticker) VALUES (%s, 'IBM'), (%s, 'AAPL')", [customer, customer]
        )
        connection.execute(
            "INSERT INTO alpaca_api_watchlist (id, customer_id, name, tickers) VALUES"
            " (gen_random_uuid(), %s, 'tech', '[\"MSFT\", \"AAPL\"]'),"
            " (gen_random_uuid(), %s, 'Primary Watchlist', '[]')",
            [customer, customer],
        )
    migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        watchlists = connection.execute(
            "SELECT name, tickers, is_default FROM accounts_watchlist ORDER BY is_default DESC, name"
        ).fetchall()
    assert watchlists[0] == ("Primary Watchlist", ["IBM", "AAPL"], True)
    assert [(name[:17], tickers) for name, tickers, _ in watchlists[1:]] == [
        ("Primary Watchlist", []),
        ("tech", ["MSFT", "AAPL"]),
    ]


def test_migrating_recomputes_costs_from_postings(empty_database: str) -> None:
    migrate(empty_database, "accounts", "0007")
    with psycopg.connect(empty_database) as connection:
        (customer,) = connection.execute(
            "INSERT INTO accounts_customer (email, password, name, is_active, is_staff, is_superuser, theme, time_zone)"
            " VALUES ('old@example.com', '', '', true, false, false, 'system', '') RETURNING id"
        ).fetchone() or (0,)
        connection.execute(
            "INSERT INTO accounts_position (customer_id, ticker, quantity, held, average_price)"
            " VALUES (%s, 'IBM', 150000, 0, 10)",  # a wrong average, as old versions computed it
            [customer],
        )
        for kind, change, total, price in (
            ("buy", 100_000, 100_000, 10),
            ("buy", 100_000, 200_000, 14.99),
            ("sell", -50_000, 150_000, 20),
        ):
            connection.execute(
                "INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price)"
                " VALUES (%s, 'IBM', %s, gen_random_uuid(), %s, %s, %s)",
                [customer, kind, change, total, price],
            )
    migrate(empty_database, "accounts", "0008")
    with psycopg.connect(empty_database) as connection:
        positions = connection.execute("SELECT quantity, cost FROM accounts_position").fetchall()
    assert positions == [(150_000, Decimal("1874250"))], "12.4950 per share"


def test_the_migrations_match_the_models(db: None) -> None:
    call_command("makemigrations", check_changes=True, dry_run=True)


SCHEMA = """
    WITH ours AS (
        SELECT oid, oid::regclass::text AS name FROM pg_class
        WHERE relkind = 'r' AND relname LIKE ANY (%s) AND relnamespace = 'public'::regnamespace
    )
    SELECT 'column' AS kind, ours.name || '.' || column_name AS name,
           concat_ws(' ', data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable,
                     column_default, is_identity) AS definition
    FROM ours JOIN information_schema.columns ON table_schema = 'public' AND table_name = ours.name
    UNION ALL
    SELECT 'constraint', ours.name || '.' || conname, pg_get_constraintdef(pg_constraint.oid)
    FROM ours JOIN pg_constraint ON conrelid = ours.oid
    UNION ALL
    SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM ours JOIN pg_index ON indrelid = ours.oid
    UNION ALL
    SELECT 'trigger', ours.name || '.' || tgname, pg_get_triggerdef(pg_trigger.oid)
    FROM ours JOIN pg_trigger ON tgrelid = ours.oid AND NOT tgisinternal
    ORDER BY 1, 2, 3
"""
