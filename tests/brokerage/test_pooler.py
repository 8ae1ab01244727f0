"""Behind PgBouncer in transaction mode: timeouts apply, and statements need no session state."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from accounts.models import Customer
from tests.brokerage.pgbouncer import PROGRAM, PgBouncer
from tests.people import claim, open_account
from trades.place import place_trade

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not PROGRAM.exists(), reason="PgBouncer is not installed: apt install pgbouncer"),
    pytest.mark.django_db(transaction=True),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pooled(transactional_db: None) -> Iterator[PgBouncer]:
    """Send the test's sessions through the pooler, with the settings that DATABASE_POOLED results in."""
    original = {name: connection.settings_dict[name] for name in ("HOST", "PORT", "OPTIONS")}
    with (
        tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder,
        PgBouncer(Path(folder) / "pool", connection.settings_dict) as pooler,
    ):
        connection.close()
        connection.settings_dict.update(
            HOST="127.0.0.1",
            PORT=str(pooler.port),
            OPTIONS=original["OPTIONS"] | {"options": "", "prepare_threshold": None},
            DISABLE_SERVER_SIDE_CURSORS=True,
        )
        yield pooler
        connection.close()
        connection.settings_dict.update(original, DISABLE_SERVER_SIDE_CURSORS=False)


def test_the_setting_makes_these_options() -> None:
    code = (
        "from django.conf import settings as s; d = s.DATABASES['default']; o = d['OPTIONS'];"
        "print(o['options'] == '', o['prepare_threshold'], d['DISABLE_SERVER_SIDE_CURSORS'])"
    )
    process = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_POOLED": "1", "DJANGO_SETTINGS_MODULE": "brokerage.settings"},
        capture_output=True,
        text=True,
    )
    assert process.stdout.strip() == "True None True", process.stderr


def test_limits_hold_in_every_session(pooled: PgBouncer) -> None:
    with connection.cursor() as cursor:
        for name, milliseconds in settings.DATABASE_LIMITS.items():
            cursor.execute("SELECT setting::int FROM pg_settings WHERE name = %s", [name])
            assert cursor.fetchone()[0] == milliseconds, name


def test_a_statement_that_takes_too_long_is_ended(pooled: PgBouncer) -> None:
    seconds_max = settings.DATABASE_LIMITS["statement_timeout"] / 1000
    started_at = time.monotonic()
    with connection.cursor() as cursor, pytest.raises(OperationalError, match="statement timeout"):
        cursor.execute("SELECT pg_sleep(%s)", [seconds_max + 10])
    assert time.monotonic() - started_at < seconds_max + 1


def test_trades_are_placed_and_claimed(pooled: PgBouncer) -> None:
    customer: Customer = open_account("pooled@example.com", Decimal(1000))
    for _ in range(10):  # more often than prepare_threshold
        place_trade(customer.id, "AAPL", "BUY", 1)
    assert len(claim(customer)) == 1
    assert Customer.objects.filter(pk=customer.pk).iterator(chunk_size=1).__next__() == customer
