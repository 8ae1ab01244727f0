"""Old code lives with every new migration, for during a rolling upgrade both run: docs/how-to tells how to split one.

RELEASED lists the migrations from before this rule. A new one that can't follow it belongs there only if its release
stops the whole brokerage, which the changelog then says.
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


@pytest.mark.django_db(transaction=True)  # an index that is built concurrently is not built in a transaction
def test_old_code_lives_with_every_new_migration(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_migrate_waits_for_a_table_that_is_in_use_and_blocks_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.2)
    parameters = connection.get_connection_params()
    other = psycopg.connect(
        **{name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    )
    call_command("migrate", "exchange", "0001", verbosity=0)
    other.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
    released = time.monotonic() + 1.0
    threading.Timer(1.0, other.close).start()
    call_command("migrate", "exchange", verbosity=0)
    allow_truncate()
    assert time.monotonic() >= released - 0.1
