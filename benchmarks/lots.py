"""Old books: how long `build_lots` takes to date the postings of past trades and to build their lots."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from typing import Any

from benchmarks.load import LoadFailed
from benchmarks.population import loading
from benchmarks.settings import Settings
from benchmarks.site import Site

INTERRUPTED_AFTER_SECONDS = 5.0
"""When the first run of the command is killed. The second run goes on from there."""
SECONDS_MAX = 3600.0
# The state of a database from before settlement dates and lots were stored. Trades keep their settlement dates, so that
# the proof compares the dates that the command finds with theirs.
STRIP = ("UPDATE accounts_posting SET settles_on = NULL", "DELETE FROM accounts_lot")
LEFT = "SELECT count(*) FROM accounts_posting WHERE settles_on IS NULL"


def build(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Load past trades without lots, build the lots, with an interruption, and prove the books.

    Raises LoadFailed if the command fails.
    """
    trades_each = settings.old_trades // settings.old_customers
    with Site({"lanes": 0}, settings.old_customers, trades_each, None, say, 1, in_bulk=True) as site:
        connection = site.database.connection
        with loading(connection):
            for statement in STRIP:
                connection.execute(statement)
        site.database.vacuum_and_checkpoint()
        postings = _count_remaining(site)
        say(f"lots: {postings:,} postings of {settings.old_trades:,} trades have no date")
        began = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            site.brokerage.manage("build_lots", timeout=INTERRUPTED_AFTER_SECONDS)
        say(f"lots: killed after {INTERRUPTED_AFTER_SECONDS:.0f} s, {_count_remaining(site):,} postings left")
        answer = site.brokerage.manage("build_lots", timeout=SECONDS_MAX)
        seconds = time.monotonic() - began
        if answer.returncode or _count_remaining(site):
            raise LoadFailed(f"build_lots failed: {answer.stdout[-2000:]}{answer.stderr[-2000:]}")
        say(f"lots: built in {seconds:.1f} s; proving the books")
        return {
            **({"secondsOfAMillion": round(seconds, 1)} if settings.old_trades == 1_000_000 else {}),
            "trades": settings.old_trades,
            "customers": settings.old_customers,
            "postings": postings,
            "seconds": round(seconds, 1),
            "audit": site.audit(),
        }


def _count_remaining(site: Site) -> int:
    row = site.database.connection.execute(LEFT).fetchone()
    return int(row[0]) if row else 0
