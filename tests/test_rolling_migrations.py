"""Old code works with every new migration: both run during a rolling upgrade. docs/how-to shows how to split one.

RELEASED lists the migrations from before this rule. A new migration that can't follow it belongs there only if its
release stops the whole brokerage, and then the changelog says so.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django_migration_linter import MigrationLinter

from brokerage.management.commands import migrate
from tests.guarantees import allow_truncate

RELEASED = Path(__file__).with_name("released_migrations.txt")
OURS = ["accounts", "alpaca_api", "exchange", "feed", "office", "trades", "webhooks"]
LOCKS = ["CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE", "ADD_UNIQUE", "ALTER_COLUMN", "DROP_INDEX"]


@pytest.mark.django_db(transaction=True)  # an index can't be built concurrently within a transaction
def test_old_code_works_with_every_new_migration(capsys: pytest.CaptureFixture[str]) -> None:
    linter = MigrationLinter(
        str(settings.BASE_DIR),
        include_apps=OURS,
        ignore_name=[line.split()[1] for line in RELEASED.read_text().splitlines()],
        no_cache=True,
        analyser_string="postgresql",
        warnings_as_errors_tests=LOCKS,
    )
    linter.lint_all_migrations()
    assert not linter.has_errors, capsys.readouterr().out


def test_migrations_listed_as_released_exist() -> None:
    for line in RELEASED.read_text().splitlines():
        app, name = line.split()
        assert (settings.BASE_DIR / app / "migrations" / f"{name}.py").exists(), line


@pytest.mark.django_db(transaction=True)
def test_migrate_waits_for_a_locked_table_and_blocks_others_only_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.2)
    parameters = connection.get_connection_params()
    session = psycopg.connect(
        **{name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    )
    call_command("migrate", "exchange", "0001", verbosity=0)
    session.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
    released_at = time.monotonic() + 1.0
    threading.Timer(1.0, session.close).start()
    call_command("migrate", "exchange", verbosity=0)
    allow_truncate()
    assert time.monotonic() >= released_at - 0.1
