"""The whole brokerage with real processes, on a temporary folder and ports of its own, with customers who can trade."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from benchmarks import processes
from benchmarks.database import Database
from benchmarks.population import Population, populate
from local.folder import Folder
from local.harness import Brokerage
from local.postgresql import PostgreSQL

MEMORY_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
SETTINGS = f"""
track_commit_timestamp = on                       # tells when a trade was final
shared_preload_libraries = 'pg_stat_statements'   # counts statements; off but for the stage that asks for it
pg_stat_statements.track = none
compute_query_id = on                             # before statements are prepared: those without are never counted
# As a server of its own would have it: a quarter of the memory, and room for a checkpoint only now and then.
shared_buffers = {MEMORY_MB // 4}MB
effective_cache_size = {MEMORY_MB // 2}MB
max_wal_size = 8GB
"""
TRADES_EACH = 4
"""What every customer has bought before: shares of each stock."""
BYTES_A_TRADE = 3_000
"""What a finished trade takes with its history, report, postings and all their indexes, and while these are built."""
FREE_BYTES_MIN = 15_000_000_000
DRAIN_SECONDS_MAX = 300.0
AUDIT_SECONDS_MAX = 3600.0


class BooksDoNotHold(Exception):
    """What was measured counts for nothing."""


class NoRoom(Exception):
    """The disk is too full for what is to be loaded."""


class House:
    """A brokerage to be measured; a context manager that starts it, fills it, and removes it.

    `traders`: so many of the customers trade, evenly spread among all; without it, all do. `in_bulk`: for millions of
    trades, which are loaded with nobody else at work. Raises NoRoom.
    """

    def __init__(
        self,
        scale: Mapping[str, int] | None = None,
        customers: int = 10_000,
        trades_each: int = TRADES_EACH,
        env: Mapping[str, str] | None = None,
        says: Callable[[str], None] = lambda _: None,
        traders: int | None = None,
        in_bulk: bool = False,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="brokerage-bench-"))
        self.brokerage = Brokerage(
            self.folder / "var", scale, {"EXCHANGE_LATENCY_MS": "0", "LOG_LEVEL": "WARNING", **(env or {})}
        )
        self.customers, self.trades_each, self.says = customers, trades_each, says
        self.traders, self.in_bulk = traders or customers, in_bulk
        self.loaded_seconds = 0.0

    def __enter__(self) -> House:
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
        server = PostgreSQL(folder, folder.keys(), 0)
        server.prepare()
        with open(server.data / "postgresql.auto.conf", "a") as file:
            file.write(SETTINGS)
        self.brokerage.start()
        self.database = Database(self.brokerage.data_dir, self.environment["DATABASE_URL"])
        began = time.monotonic()
        if self.in_bulk:
            self._has_room_for(self.customers * self.trades_each * BYTES_A_TRADE)
            # Without indexes, a query would read everything.
            go_on = self.hold({"lanes", "sweep", "stream"})
            try:
                self.population = self.populate(self.database)
            finally:
                go_on()
        else:
            self.population = self.populate(self.database)
        self.database.settle_down()
        self.loaded_seconds = time.monotonic() - began
        self.tokens_file = self.folder / "tokens"
        self.tokens_file.write_text("\n".join(self.population.tokens(self.traders)))

    def _has_room_for(self, bytes_more: int = 0) -> None:
        free = shutil.disk_usage(self.folder).free - bytes_more
        if free < FREE_BYTES_MIN:
            raise NoRoom(f"{free / 1e9:.0f} GB would be free on the disk of {self.folder}")

    def populate(self, database: Database) -> Population:
        """Fill a database of ours as this one is filled."""
        connect = database.connect if self.in_bulk else None
        return populate(
            database.connection, self.customers, self.trades_each, self.says, connect, watch=self._has_room_for
        )

    def _remove(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
        self.brokerage.stop()
        if os.environ.get("BENCH_KEEP"):
            self.says(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- where it is

    @property
    def environment(self) -> dict[str, str]:
        return self.brokerage.environment

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where each `web` listens."""
        return [(parts.hostname or "", parts.port or 0) for parts in map(urlsplit, self.brokerage.web_urls)]

    def roots(self) -> dict[int, str]:
        """Its processes, and ours, with their kinds: `web` and not web.1. The generator is ours to add."""
        kinds = {pid: name.partition(".")[0] for name, pid in self.brokerage.processes().items()}
        return {
            **{pid: "supervision" if kind in {"supervisord", "runner"} else kind for pid, kind in kinds.items()},
            os.getpid(): "benchmark",
        }

    # -- what can be done to it

    def exchange(self, faults: Mapping[str, Any] | None) -> None:
        """Make the stand-in exchange slow, or worse; None: as it was."""
        request = urllib.request.Request(  # noqa: S310 (our own address)
            f"{self.brokerage.exchange_url}/v1/faults",
            data=json.dumps(faults).encode() if faults else None,
            headers={"Content-Type": "application/json"},
            method="PUT" if faults else "DELETE",
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass

    def hold(self, kinds: set[str]) -> Callable[[], None]:
        """Freeze all processes of these kinds where they stand; returns what lets them go on."""
        pids = [pid for name, pid in self.brokerage.processes().items() if name.partition(".")[0] in kinds]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

        def go_on() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        return go_on

    def drain(self) -> float:
        """Wait until every trade is final; how many seconds it took."""
        return self.database.wait_until_nothing_is_open(DRAIN_SECONDS_MAX)

    def audit(self, drain: bool = True) -> dict[str, Any]:
        """Prove the books, once nothing is under way (or as they are). Raises BooksDoNotHold."""
        if drain:
            self.drain()
        began = time.monotonic()
        try:
            answer = self.brokerage.manage("audit_books", "--json", timeout=AUDIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise BooksDoNotHold(f"audit_books took more than {AUDIT_SECONDS_MAX:.0f} s") from None
        if "Unknown command" in answer.stderr:
            return {"ok": None, "why": "there is no audit_books"}
        try:
            found: dict[str, Any] = json.loads(answer.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise BooksDoNotHold(f"audit_books said: {answer.stdout[-2000:]}{answer.stderr[-2000:]}") from None
        if answer.returncode or not found["ok"]:
            raise BooksDoNotHold(json.dumps(found)[:4000])
        return {
            **{name: value for name, value in found.items() if name not in {"violations", "rules"}},
            "seconds": round(time.monotonic() - began, 1),
        }

    def memory(self) -> dict[str, dict[str, float]]:
        return processes.memory(self.roots())
