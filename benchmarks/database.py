"""What the benchmark asks the brokerage's own PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg

OPEN = """
    SELECT (SELECT count(*) FROM trades_trade WHERE status = 'PLACED')
         + (SELECT count(*) FROM trades_trade WHERE status = 'IN PROGRESS')
"""
COUNTERS = """
    SELECT d.xact_commit, w.wal_records, w.wal_fpi, w.wal_bytes::bigint,
           (SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal')
    FROM pg_stat_database AS d, pg_stat_wal AS w WHERE d.datname = current_database()
"""
# A final trade's row is never touched again, so that the transaction which wrote it is the one that settled it.
TRADES = """
    SELECT id, extract(epoch FROM placed_at)::float8, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8, status
    FROM trades_trade WHERE id >= %s AND status IN ('FILLED', 'REJECTED')
"""
SIZES = """
    SELECT relname, pg_total_relation_size(oid) AS size FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY size DESC LIMIT 10
"""
STATEMENTS = """
    SELECT calls, total_exec_time, rows, query FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY calls DESC
"""


@dataclass(frozen=True)
class Final:
    """A trade that has ended; times are seconds since the epoch. `final_at` is when that was committed."""

    placed_at: float
    final_at: float
    status: str


@dataclass(frozen=True)
class Counters:
    """What the database has done so far: commits, records and bytes of its log, and how often it flushed it."""

    commits: int
    wal_records: int
    wal_pages: int
    wal_bytes: int
    wal_flushes: int

    def each(self, before: Counters, count: int) -> dict[str, float]:
        """Since `before`, for one of so many."""
        if not count:
            return {}
        return {
            "commits": round((self.commits - before.commits) / count, 3),
            "walFlushes": round((self.wal_flushes - before.wal_flushes) / count, 3),
            "walBytes": round((self.wal_bytes - before.wal_bytes) / count),
            "walRecords": round((self.wal_records - before.wal_records) / count, 1),
            "walFullPages": round((self.wal_pages - before.wal_pages) / count, 3),
        }


class Database:
    """The brokerage's database, seen by its administrator; reconnects when the server was restarted."""

    def __init__(self, data_dir: Path, database_url: str) -> None:
        parts = urlsplit(database_url)
        keys = json.loads((data_dir / "keys.json").read_text())
        self.connection_arguments = {
            "host": parts.hostname,
            "port": parts.port,
            "user": "postgres",
            "password": keys["postgres_admin_password"],
            "dbname": parts.path.lstrip("/"),
            "application_name": "benchmark",
            "autocommit": True,
            # The server's own limits are for those who may have been forgotten.
            "options": "-c idle_in_transaction_session_timeout=0 -c client_min_messages=error",
        }
        self.connection = self.connect()

    def connect(self, **others: object) -> psycopg.Connection:
        return psycopg.connect(**{**self.connection_arguments, **others})

    def close(self) -> None:
        self.connection.close()

    def version(self) -> str:
        """PostgreSQL's version, as it says it."""
        return str(self._row("SHOW server_version")[0])

    def open_trades(self) -> int:
        """How many trades are PLACED or IN PROGRESS."""
        return int(self._row(OPEN)[0])

    def counters(self) -> Counters:
        return Counters(*map(int, self._row(COUNTERS)))

    def finals(self, since: float) -> dict[str, Final]:
        """Trades by id that were placed after that moment and have ended."""
        first = UUID(int=int(since * 1000) << 80)
        rows = self.connection.execute(TRADES, [first])
        return {str(id): Final(placed_at, final_at, status) for id, placed_at, final_at, status in rows}

    def sizes(self) -> list[tuple[str, int]]:
        """The largest tables, with their indexes, in bytes."""
        return self.connection.execute(SIZES).fetchall()

    def settle_down(self) -> None:
        """Statistics up to date, and a checkpoint done: every measurement begins alike."""
        self.connection.execute("VACUUM (ANALYZE)")
        self.connection.execute("CHECKPOINT")

    def wait_until_nothing_is_open(self, seconds_max: float) -> float:
        """Until every trade is final; returns the seconds that it took. Raises TimeoutError."""
        began = time.monotonic()
        while left := self.open_trades():
            if time.monotonic() - began > seconds_max:
                raise TimeoutError(f"{left} trades are still open after {seconds_max:.0f} s")
            time.sleep(0.1)
        return time.monotonic() - began

    @contextmanager
    def counting_statements(self) -> Iterator[list[tuple[int, float, int, str]]]:
        """While inside, statements are counted; afterwards the list has (calls, ms in all, rows, text)."""
        found: list[tuple[int, float, int, str]] = []
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        try:
            self._set({"pg_stat_statements.track": "top"})
            self.connection.execute("SELECT pg_stat_statements_reset()")
            yield found
            found += self.connection.execute(STATEMENTS).fetchall()
        finally:
            self._set({"pg_stat_statements.track": "none"})

    def _set(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            self.connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)

    def _row(self, statement: str) -> tuple[Any, ...]:
        row = self.connection.execute(statement).fetchone()
        assert row is not None  # noqa: S101 (an aggregate has a row)
        return row
