"""The database's own guarantees: list them, try to break them, and lift them."""

import re
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction

from brokerage.database.privileges import NO_TRUNCATE, refused_operations


def refusal(statement: str, ids: dict[str, Any]) -> str:
    """Return the name of the guarantee because of which the database refuses this statement; fail if it doesn't."""
    with pytest.raises(DatabaseError) as caught:
        _attempt(statement, ids)
    return guarantee_named_by(caught.value)


def _attempt(statement: str, ids: dict[str, Any]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement, ids)
        assert cursor.rowcount, "the statement changed no row"


def guarantee_named_by(error: BaseException) -> str:
    """Return the constraint or trigger that a database error names."""
    cause = error.__cause__
    assert isinstance(cause, psycopg.Error), error
    if cause.diag.constraint_name:
        return _plain(cause.diag.constraint_name)
    trigger = re.search(r"function (pgtrigger_\w+)\(\)", cause.diag.context or "")
    assert trigger, error
    return _plain(trigger[1])


def guarantees_of(app: str) -> set[str]:
    """Return every check, unique index, foreign key and trigger on the tables of an app's models."""
    tables = [model._meta.db_table for model in apps.get_app_config(app).get_models()]
    with connection.cursor() as cursor:
        cursor.execute(GUARANTEES, {"tables": tables})
        return {_plain(name) for (name,) in cursor.fetchall()}


def guarantees_in_meta(app: str) -> set[str]:
    """Return every constraint and trigger that an app's models declare."""
    options: list[Any] = [model._meta for model in apps.get_app_config(app).get_models()]
    return {guarantee.name for meta in options for guarantee in [*meta.constraints, *getattr(meta, "triggers", [])]}


def lift_guarantees() -> None:
    """Remove every check, unique index, foreign key and trigger from our apps' tables until the transaction ends."""
    tables = [model._meta.db_table for model in apps.get_models() if model._meta.app_label in {"accounts", "trades"}]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # pending deferred checks would block ALTER TABLE
        cursor.execute(LIFTS, {"tables": tables})
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)


def allow_truncate() -> None:
    """Let tests truncate the append-only tables, because Django cleans up that way after a test that commits."""
    with connection.cursor() as cursor:
        for table in refused_operations():
            cursor.execute(f'DROP TRIGGER IF EXISTS {NO_TRUNCATE} ON "{table}"')


def _plain(name: str) -> str:
    """Remove the hash that Django and django-pgtrigger add to a name."""
    name = re.sub(r"^pgtrigger_(\w+)_[0-9a-f]{5}$", r"\1", name)
    return re.sub(r"_[0-9a-f]{8}_fk(_\w+)?$", "_fk", name)


GUARANTEES = """
    SELECT conname FROM pg_constraint
    WHERE conrelid = ANY (%(tables)s::text[]::regclass[]) AND contype IN ('c', 'f', 'u', 'x')
    UNION
    SELECT indexrelid::regclass::text FROM pg_index
    WHERE indrelid = ANY (%(tables)s::text[]::regclass[]) AND indisunique AND NOT indisprimary
    UNION
    SELECT tgname FROM pg_trigger WHERE tgrelid = ANY (%(tables)s::text[]::regclass[]) AND NOT tgisinternal
"""
LIFTS = """
    SELECT statement FROM (
        SELECT 1 AS step, format('ALTER TABLE %%s DISABLE TRIGGER USER', name) AS statement
        FROM unnest(%(tables)s::text[]) AS name
        UNION
        SELECT 2, format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname) FROM pg_constraint
        WHERE conrelid = ANY (%(tables)s::text[]::regclass[]) AND contype IN ('c', 'f', 'u', 'x')
        UNION
        SELECT 3, format('DROP INDEX IF EXISTS %%s', indexrelid::regclass) FROM pg_index
        WHERE indrelid = ANY (%(tables)s::text[]::regclass[]) AND indisunique AND NOT indisprimary
    ) AS lift ORDER BY step
"""
