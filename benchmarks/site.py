"""The brokerage under test: real processes on a temporary folder and free ports, with customers who can trade."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.database import Database
from benchmarks.population import Population, populate
from local import prepared_data
from local.folder import Folder
from local.harness import Brokerage
from local.postgresql import PostgreSQL

MEMORY_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
SETTINGS = f"""
track_commit_timestamp = on                       # shows when a trade became final
shared_preload_libraries = 'pg_stat_statements'   # counts statements, only in the stage that needs it
pg_stat_statements.track = none
compute_query_id = on                             # must be on before statements are prepared, or they aren't counted
# As on a dedicated server: a quarter of the memory, and infrequent checkpoints.
shared_buffers = {MEMORY_MB // 4}MB
effective_cache_size = {MEMORY_MB // 2}MB
max_wal_size = 8GB
"""
ENVIRONMENT = {
    "EXCHANGE_LATENCY_MS": "0",
    "LOG_LEVEL": "WARNING",
    "CHARTS_SECONDS": "3600",  # a new brokerage would read a year of charts in its first two minutes
}
TRADES_EACH = 4
"""Finished trades of each customer at the start: one BUY of each stock."""
BYTES_A_TRADE = 3_000
"""Disk space for a finished trade with its history, report, postings and indexes, including space to build these."""
FREE_BYTES_MIN = 15_000_000_000
DRAIN_SECONDS_MAX = 300.0
AUDIT_SECONDS_MAX = 3600.0


class BooksDoNotHold(Exception):
    """The books are wrong after a measurement, so it is invalid."""


class DiskFull(Exception):
    """There is too little disk space for the data to load."""


class Site:
    """A context manager that starts a brokerage, fills it with customers, and removes it. Raises DiskFull.

    With `traders`, only this many of the customers trade, spread evenly among all. `in_bulk` is for loading millions of
    trades, while the other processes are frozen.
    """

    def __init__(
        self,
        scale: Mapping[str, int] | None = None,
        customers: int = 10_000,
        trades_each: int = TRADES_EACH,
        env: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
        traders: int | None = None,
        in_bulk: bool = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="brokerage-bench-"))
        self.brokerage = Brokerage(self.folder / "var", scale, {**ENVIRONMENT, **(env or {})})
        self.customers, self.trades_each, self.say = customers, trades_each, say
        self.traders, self.in_bulk = traders or customers, in_bulk
        self.loaded_seconds = 0.0

    def __enter__(self) -> Site:
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def _start(self) -> None:
        folder = Folder(self.brokerage.data_dir)
        prepared_data.prepare(self.brokerage.data_dir)
        server = PostgreSQL(folder, folder.keys(), 0)
        server.prepare()
        with open(server.data / "postgresql.auto.conf", "a") as file:
            file.write(SETTINGS)
        self.brokerage.start()
        self.database = Database(self.brokerage.data_dir, self.environment["DATABASE_URL"])
        began = time.monotonic()
        if self.in_bulk:
            self._has_room_for(self.customers * self.trades_each * BYTES_A_TRADE)
            # Indexes are dropped during the load, and without them every query would scan whole tables.
            resume = self.freeze({"lanes", "sweep", "stream"})
            try:
                self.population = self.populate(self.database)
            finally:
                resume()
        else:
            self.population = self.populate(self.database)
        self.database.vacuum_and_checkpoint()
        self.loaded_seconds = time.monotonic() - began
        self.tokens_file = self.folder / "tokens"
        self.tokens_file.write_text("\n".join(self.population.tokens(self.traders)))

    def _has_room_for(self, bytes_more: int = 0) -> None:
        free = shutil.disk_usage(self.folder).free - bytes_more
        if free < FREE_BYTES_MIN:
            raise DiskFull(f"only {free / 1e9:.0f} GB would remain free on the disk of {self.folder}")

    def populate(self, database: Database) -> Population:
        """Fill a database with the same customers and trades as this site's."""
        connect = database.connect if self.in_bulk else None
        return populate(
            database.connection, self.customers, self.trades_each, self.say, connect, watch=self._has_room_for
        )

    def _remove(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
        self.brokerage.stop()
        if os.environ.get("BENCH_KEEP"):
            self.say(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- addresses and processes

    @property
    def environment(self) -> dict[str, str]:
        return self.brokerage.environment

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The address of each `web` process."""
        return [(parts.hostname or "", parts.port or 0) for parts in map(urlsplit, self.brokerage.web_urls)]

    def roots(self) -> dict[int, str]:
        """Return the pids of its processes and of this one, each with its kind, such as `web`."""
        kinds = {pid: name.partition(".")[0] for name, pid in self.brokerage.processes().items()}
        return {
            **{pid: "supervision" if kind in {"supervisord", "runner"} else kind for pid, kind in kinds.items()},
            os.getpid(): "benchmark",
        }

    # -- actions

    def exchange(self, faults: Mapping[str, Any] | None) -> None:
        """Set faults of the stand-in exchange, or clear them (None)."""
        request = urllib.request.Request(  # noqa: S310 (our own address)
            f"{self.brokerage.exchange_url}/v1/faults",
            data=json.dumps(faults).encode() if faults else None,
            headers={"Content-Type": "application/json"},
            method="PUT" if faults else "DELETE",
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass

    def freeze(self, kinds: set[str]) -> Callable[[], None]:
        """Suspend all processes of these kinds; return a function that resumes them."""
        pids = [pid for name, pid in self.brokerage.processes().items() if name.partition(".")[0] in kinds]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

        def resume() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        return resume

    def calm_down(self) -> None:
        """Finish what earlier stages have left behind, so that every measurement begins in the same state.

        The next scheduled proof of the books is postponed, so that it does not fall into one stage and spare others.
        """
        self.database.postpone_proof()
        self.database.send_mail(DRAIN_SECONDS_MAX)
        self.database.vacuum_and_checkpoint()

    def drain(self) -> float:
        """Wait until every trade is final; return the seconds that took."""
        return self.database.wait_until_nothing_is_open(DRAIN_SECONDS_MAX)

    def audit(self, drain: bool = True, options: Sequence[str] = ()) -> dict[str, Any]:
        """Run audit_books and return its figures. Raises BooksDoNotHold.

        Args:
            drain: wait until every trade is final first.
            options: of audit_books, such as --changes.
        """
        if drain:
            self.drain()
        began = time.monotonic()
        try:
            answer = self.brokerage.manage("audit_books", "--json", *options, timeout=AUDIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise BooksDoNotHold(f"audit_books took more than {AUDIT_SECONDS_MAX:.0f} s") from None
        try:
            audit: dict[str, Any] = json.loads(answer.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise BooksDoNotHold(f"audit_books failed: {answer.stdout[-2000:]}{answer.stderr[-2000:]}") from None
        if answer.returncode or not audit["ok"]:
            raise BooksDoNotHold(json.dumps(audit)[:4000])
        return {
            **{name: value for name, value in audit.items() if name not in {"violations", "rules"}},
            "seconds": round(time.monotonic() - began, 1),
        }

    def memory(self) -> dict[str, dict[str, float]]:
        return processes.memory(self.roots())
