"""Migrations match the models and schema.sql, and each can be reversed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command

from local import write_schema
from tests.local.databases import database

pytestmark = pytest.mark.process

PROJECT = Path(__file__).resolve().parent.parent
# An app precedes those on which it depends.
APPS = ("office", "webhooks", "trades", "exchange", "alpaca_api", "accounts")
OURS = [f"{app}\\_%" for app in APPS]


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Create an empty database on the tests' server; return its URL."""
    with database("migrations") as url:
        yield url


def migrate(url: str, *arguments: str) -> None:
    completed = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0", *arguments],
        cwd=PROJECT,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr


def tables_of_our_apps(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE ANY (%s)", [OURS]).fetchall()
    return {name for (name,) in rows}


def test_every_migration_can_be_reversed_and_makes_what_a_new_database_has(empty_database: str) -> None:
    migrate(empty_database)
    before, names = write_schema.tables(empty_database), write_schema.migrations(empty_database)
    assert names in write_schema.FILE.read_text(), "not every migration is in schema.sql: run make schema"
    for app in APPS:
        migrate(empty_database, app, "zero")
    assert tables_of_our_apps(empty_database) == set()
    migrate(empty_database)
    made = write_schema.tables(empty_database)
    # PostgreSQL writes some conditions differently once they have been read from a dump, as those of schema.sql were.
    with database("tables") as another, psycopg.connect(another) as connection:
        connection.execute("SET check_function_bodies = false")
        connection.execute(made.encode())
        connection.commit()
        assert write_schema.tables(another) == before, "schema.sql differs from the migrations: run make schema"


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
    migrate(empty_database, "alpaca_api", "0002")
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
