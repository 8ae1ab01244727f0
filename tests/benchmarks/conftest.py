"""A connection with which tests fill tables with past trades, as the benchmark does."""

import os
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from benchmarks.database import Database
from benchmarks.population import Population, loading, populate
from tests.settings import POSTGRESQL_DIR

CUSTOMERS, TRADES_EACH = 5_000, 20


@pytest.fixture(scope="module")
def administrator(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Database]:
    """Connect to the tests' database as a superuser who can load in bulk; empty it after the module."""
    if not (POSTGRESQL_DIR / "keys.json").exists():
        pytest.skip("the database server was not started by us, so we can't load in bulk")
    with django_db_blocker.unblock():
        server = os.environ["DATABASE_URL"].rpartition("/")[0]
        database = Database(POSTGRESQL_DIR, f"{server}/{connection.settings_dict['NAME']}")
        try:
            yield database
        finally:
            database.close()
            call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(scope="module")
def past_trades(administrator: Database) -> Population:
    """Load 100,000 final trades, 200,000 postings, 300,000 status changes and some open trades; update statistics."""
    population = populate(administrator.connection, CUSTOMERS, TRADES_EACH)
    with loading(administrator.connection):
        administrator.connection.execute(
            OPEN_TRADES, {"first": population.first_id, "customers": CUSTOMERS, "each": TRADES_EACH}
        )
    administrator.vacuum_and_checkpoint()
    return population


# Of every four customers, one has a trade in line and one has a trade in flight, neither of which is due yet.
OPEN_TRADES = """
    INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, placed_at, status, reason_code,
                              max_price, claimed_at, expires_at, ask_at)
    SELECT uuidv7(), %(first)s + n, %(each)s + 1, 'AAPL', 'BUY', 1, placed, CASE n %% 4 WHEN 1 THEN 'PLACED'
           ELSE 'IN PROGRESS' END, '', max_price, later, later, later
    FROM (
        SELECT n, now() + interval '1 hour' AS placed, CASE n %% 4 WHEN 3 THEN 1000 END AS max_price,
               CASE n %% 4 WHEN 3 THEN now() + interval '1 hour' END AS later
        FROM generate_series(1, %(customers)s - 1, 2) AS n
    ) AS open_trades
"""
