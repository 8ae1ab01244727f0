"""The runtime role cannot truncate tables, change final rows, or become the owner."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from accounts.models import Customer
from brokerage.checks import owner_of_tables
from brokerage.database.privileges import grant, protect, refused_operations
from local.folder import Folder
from local.postgresql import RUNTIME
from tests.guarantees import allow_truncate
from tests.people import open_account, receive_shares
from tests.settings import POSTGRESQL_DIR

REFUSED = psycopg.errors.InsufficientPrivilege
IGNORE_TRIGGERS = """
    SELECT set_config('pgtrigger.ignore', (SELECT array_agg(tgname)::text FROM pg_trigger WHERE NOT tgisinternal), %s)
"""


@pytest.fixture
def filled(transactional_db: None) -> Customer:
    """Create a customer with a FILLED trade, which leaves a row in most append-only tables."""
    customer: Customer = open_account("alice@example.com", Decimal(1000))
    receive_shares(customer, "AAPL", 2, Decimal(100))
    return customer


@pytest.fixture
def runtime(filled: Customer) -> Iterator[psycopg.Connection[Any]]:
    """Open a session with the processes' role."""
    protect()
    grant(RUNTIME)
    database = connection.settings_dict
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=RUNTIME,
        password=Folder(POSTGRESQL_DIR).keys().postgres_runtime_password,
        dbname=database["NAME"],
        autocommit=True,
    ) as session:
        yield session
    allow_truncate()


def test_append_only_tables_cannot_be_truncated(runtime: psycopg.Connection[Any]) -> None:
    tables = refused_operations()
    assert len(tables) > 15
    for table in tables:
        statement = sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table))
        with pytest.raises(REFUSED):
            runtime.execute(statement)
        with pytest.raises(DatabaseError, match="keeps its rows"), connection.cursor() as owner:
            owner.execute(statement)


REFUSED_STATEMENTS = [
    "ALTER TABLE trades_trade DISABLE TRIGGER USER",
    "ALTER TABLE accounts_posting DROP CONSTRAINT accounts_posting_pkey",
    "DROP TRIGGER no_truncate ON accounts_posting",
    "DROP TABLE accounts_posting",
    "DROP FUNCTION public.no_truncate()",
    "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean"
    " LANGUAGE sql AS 'SELECT true'",
    "CREATE TABLE public.mine (id int)",
    "CREATE SCHEMA mine",
    "SET session_replication_role = replica",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "SET ROLE brokerage",
    "SET SESSION AUTHORIZATION brokerage",
    "GRANT brokerage TO brokerage_runtime",
    "ALTER ROLE brokerage_runtime SUPERUSER",
    "ALTER ROLE brokerage PASSWORD 'mine'",
    "COPY accounts_posting TO PROGRAM 'cat'",
    "UPDATE accounts_posting SET change = change * 2",
    "DELETE FROM accounts_posting",
    "UPDATE trades_statuschange SET reason = ''",
    "DELETE FROM trades_report",
    "DELETE FROM trades_trade",
    "DELETE FROM office_auditentry",
    "DELETE FROM django_migrations",
]


def test_the_processes_own_nothing_and_cannot_change_role(runtime: psycopg.Connection[Any]) -> None:
    for statement in REFUSED_STATEMENTS:
        with pytest.raises((REFUSED, psycopg.errors.RaiseException)):
            runtime.execute(statement)


def test_reset_role_gives_no_more_rights(runtime: psycopg.Connection[Any]) -> None:
    runtime.execute("RESET ROLE")
    runtime.execute("RESET SESSION AUTHORIZATION")
    assert runtime.execute("SELECT current_user, session_user").fetchone() == (RUNTIME, RUNTIME)


def test_triggers_cannot_be_ignored(runtime: psycopg.Connection[Any]) -> None:
    change = "UPDATE trades_trade SET price = 1 WHERE status = 'FILLED'"
    runtime.execute(IGNORE_TRIGGERS, [False])
    with pytest.raises(psycopg.errors.RaiseException, match="Cannot update"):
        runtime.execute(change)
    with transaction.atomic(), connection.cursor() as owner:
        owner.execute(IGNORE_TRIGGERS, [True])
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            owner.execute(change)


def test_migrate_restores_missing_protection(runtime: psycopg.Connection[Any]) -> None:
    with connection.cursor() as owner:  # as after a migration that adds a trigger
        owner.execute(
            "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean"
            " LANGUAGE sql AS 'SELECT true'"
        )
        owner.execute("DROP TRIGGER no_truncate ON accounts_posting")
    call_command("migrate", verbosity=0)
    with pytest.raises(psycopg.errors.RaiseException, match="Cannot update"):
        runtime.execute("UPDATE trades_trade SET price = 1 WHERE status = 'FILLED'")
    with pytest.raises(DatabaseError, match="keeps its rows"), connection.cursor() as owner:
        owner.execute("TRUNCATE accounts_posting CASCADE")


def test_the_processes_can_use_a_new_table(runtime: psycopg.Connection[Any]) -> None:
    with connection.cursor() as owner:
        owner.execute("CREATE TABLE added (id bigint GENERATED ALWAYS AS IDENTITY, value text)")
    try:
        runtime.execute("INSERT INTO added (value) VALUES ('x')")
        assert runtime.execute("SELECT value FROM added").fetchall() == [("x",)]
    finally:
        with connection.cursor() as owner:
            owner.execute("DROP TABLE added")


def test_every_model_is_read_and_written(runtime: psycopg.Connection[Any]) -> None:
    refused = refused_operations()
    for model in apps.get_models():
        table = model._meta.db_table
        for privilege in {"SELECT", "INSERT", "UPDATE", "DELETE"} - refused.get(table, set()):
            (is_granted,) = runtime.execute(
                "SELECT has_table_privilege(%s, %s)", [f'"{table}"', privilege]
            ).fetchone() or (0,)
            assert is_granted, (table, privilege)


def test_postings_of_the_past_can_be_dated_and_nothing_else(runtime: psycopg.Connection[Any]) -> None:
    runtime.execute("UPDATE accounts_posting SET settles_on = created_at::date WHERE settles_on IS NULL")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        runtime.execute("UPDATE accounts_posting SET total = 0")


def test_the_operations_that_triggers_refuse_are_known() -> None:
    refused = refused_operations()
    assert refused["accounts_transfer"] == {"UPDATE", "DELETE"}
    assert refused["office_auditentry"] == {"UPDATE", "DELETE"}
    assert refused["trades_report"] == {"DELETE"}  # UPDATE is refused for some columns only
    assert refused["trades_trade"] == {"DELETE"}
    assert refused["accounts_signin"] == {"UPDATE"}  # old rows may be deleted


def test_a_deployment_whose_processes_own_the_tables_fails_its_checks(db: None) -> None:
    assert [message.id for message in owner_of_tables()] == ["brokerage.E002"]
