"""The processes of `make run` own nothing in the database, even if they once owned everything."""

import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from chaos.checker import wait_until_final
from chaos.site import open_accounts
from local.folder import write_private
from local.harness import Brokerage

pytestmark = pytest.mark.process

REMOVE_RUNTIME_ROLE = """
    DROP OWNED BY brokerage_runtime;
    DROP ROLE brokerage_runtime;
    DROP FUNCTION no_truncate CASCADE;
"""
"""Returns the database to its state before the runtime role was introduced."""


@pytest.fixture(scope="module")
def brokerage() -> Iterator[Brokerage]:
    # Not in pytest's temporary folder, which only root can enter, and PostgreSQL does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="brokerage-roles-"))
    try:
        with Brokerage(folder / "var", is_prepared=False) as brokerage:
            yield brokerage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sessions(brokerage: Brokerage) -> set[tuple[str, str]]:
    """Return the kind of process and the role of every session."""
    with psycopg.connect(brokerage.environment["DATABASE_URL"], application_name="test.1") as connection:
        rows = connection.execute("SELECT application_name, usename FROM pg_stat_activity WHERE datname = 'brokerage'")
        return {(name.partition(".")[0], role) for name, role in rows}


def trade(brokerage: Brokerage, name: str) -> None:
    """Buy a share as a new customer, and wait until the trade is final."""
    (account,) = open_accounts(brokerage, [Decimal(1000)], name)
    request = urllib.request.Request(  # noqa: S310
        f"{brokerage.url}/api/v1/trades",
        json.dumps({"stockTicker": "AAPL", "type": "BUY", "quantity": 1}).encode(),
        {"Authorization": f"Bearer {account['token']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        assert response.status == 201
    wait_until_final(brokerage.environment["DATABASE_URL"])


def test_the_processes_own_nothing(brokerage: Brokerage) -> None:
    trade(brokerage, "first")
    deadline = time.monotonic() + 10
    while not (found := sessions(brokerage)) >= {(kind, "brokerage_runtime") for kind in ("web", "lanes", "sweep")}:
        assert time.monotonic() < deadline, found
    assert {role for _, role in found} == {"brokerage_runtime"}
    for name, pid in brokerage.processes().items():
        if name.partition(".")[0] in {"web", "lanes", "sweep", "stream"}:
            assert b"MIGRATE_DATABASE_URL" not in Path(f"/proc/{pid}/environ").read_bytes(), name
    audit = brokerage.manage("audit_books")
    assert audit.returncode == 0, audit.stderr
    assert "brokerage.E002" not in brokerage.manage("check", "--deploy").stderr


def test_the_database_of_a_brokerage_with_a_single_role_is_upgraded(brokerage: Brokerage) -> None:
    keys = json.loads((brokerage.data_dir / "keys.json").read_text())
    owner = brokerage.environment["MIGRATE_DATABASE_URL"]
    with psycopg.connect(owner, user="postgres", password=keys["postgres_admin_password"]) as admin:
        postings_before = admin.execute("SELECT count(*) FROM accounts_posting").fetchone()
        admin.execute(REMOVE_RUNTIME_ROLE)
    brokerage.stop()
    del keys["postgres_runtime_password"]
    write_private(brokerage.data_dir / "keys.json", keys)
    brokerage.start()
    with psycopg.connect(brokerage.environment["MIGRATE_DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM accounts_posting").fetchone() == postings_before != (0,)
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("TRUNCATE accounts_posting CASCADE")
    trade(brokerage, "second")
    assert {role for _, role in sessions(brokerage)} == {"brokerage_runtime"}
    assert brokerage.manage("audit_books").returncode == 0
