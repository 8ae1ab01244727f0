"""The benchmark's queries to the brokerage's PostgreSQL."""

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
# A final trade's row is never updated again, so the transaction that wrote it is the one that settled it.
TRADES = """
    SELECT id, extract(epoch FROM placed_at)::float8, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8, status
    FROM trades_trade WHERE id >= %s AND status IN ('FILLED', 'REJECTED')
"""
# The customers' pauses between two mails end, too, so that the next stage has its own mail from its beginning.
HURRY_MAIL = """
    UPDATE trades_trademail
    SET due_at = CASE WHEN due_at IS NOT NULL THEN statement_timestamp() END, mailed_at = 'epoch'
    WHERE due_at > statement_timestamp() OR mailed_at > 'epoch'
"""
MAIL_IS_LEFT = """
    SELECT EXISTS (SELECT FROM trades_statuschange WHERE id > (SELECT max(place) FROM accounts_noticeplace))
        OR EXISTS (SELECT FROM trades_trademail WHERE due_at IS NOT NULL) OR EXISTS (SELECT FROM accounts_mail)
"""
# As if one had just begun: they follow one another every ten minutes.
POSTPONE_PROOF = "UPDATE office_job SET due_at = now() + interval '10 min' WHERE name = 'prove'"
SIZES = """
    SELECT relname, pg_total_relation_size(oid) AS size FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY size DESC LIMIT 10
"""
RELATIONS = """
    SELECT tables.relname, part.relname, pg_relation_size(part.oid) FROM pg_class AS tables
    JOIN pg_class AS part ON part.oid = tables.oid
        OR part.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = tables.oid)
    WHERE tables.relkind = 'r' AND tables.relnamespace = 'public'::regnamespace
    ORDER BY pg_total_relation_size(tables.oid) DESC, tables.relname, part.oid <> tables.oid, 3 DESC
"""
STATEMENTS = """
    SELECT calls, total_exec_time, rows, query FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY calls DESC
"""


@dataclass(frozen=True)
class Final:
    """A final trade. Times are epoch seconds; `final_at` is when the settlement was committed."""

    placed_at: float
    final_at: float
    status: str


@dataclass(frozen=True)
class Counters:
    """The database's cumulative counters: commits, WAL records, pages and bytes, and WAL flushes."""

    commits: int
    wal_records: int
    wal_pages: int
    wal_bytes: int
    wal_flushes: int

    def each(self, before: Counters, count: int) -> dict[str, float]:
        """Return the increase since `before`, divided by `count`."""
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
    """A superuser connection to the brokerage's database."""

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
            # The server's timeout is meant for abandoned sessions, not for this one.
            "options": "-c idle_in_transaction_session_timeout=0 -c client_min_messages=error",
        }
        self.connection = self.connect()

    def connect(self, **parameters: object) -> psycopg.Connection:
        return psycopg.connect(**{**self.connection_arguments, **parameters})

    def close(self) -> None:
        self.connection.close()

    def version(self) -> str:
        """Return PostgreSQL's version."""
        return str(self._row("SHOW server_version")[0])

    def open_trades(self) -> int:
        """Return how many trades are PLACED or IN PROGRESS."""
        return int(self._row(OPEN)[0])

    def counters(self) -> Counters:
        return Counters(*map(int, self._row(COUNTERS)))

    def finals(self, since: float) -> dict[str, Final]:
        """Return the final trades that were placed after this time (epoch seconds), by id."""
        first = UUID(int=int(since * 1000) << 80)
        rows = self.connection.execute(TRADES, [first])
        return {str(id): Final(placed_at, final_at, status) for id, placed_at, final_at, status in rows}

    def sizes(self) -> list[tuple[str, int]]:
        """Return the largest tables and their sizes in bytes, including indexes."""
        return self.connection.execute(SIZES).fetchall()

    def relations(self) -> list[tuple[str, str, int]]:
        """Return each table and its indexes: the table's name, the relation's name, and its bytes."""
        return self.connection.execute(RELATIONS).fetchall()

    def vacuum_and_checkpoint(self) -> None:
        """Update statistics and do a checkpoint, so that every measurement begins in the same state."""
        self.connection.execute("VACUUM (ANALYZE)")
        self.connection.execute("CHECKPOINT")

    def send_mail(self, seconds_max: float) -> None:
        """Let the sweep send the mail about all trades at once, and wait until it has. Raises TimeoutError."""
        ends_at = time.monotonic() + seconds_max
        while self._row(MAIL_IS_LEFT)[0]:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"mail is still left after {seconds_max:.0f} s")
            self.connection.execute(HURRY_MAIL)
            time.sleep(0.2)
        self.connection.execute(HURRY_MAIL)

    def postpone_proof(self) -> None:
        """Let the next scheduled proof of the books begin in ten minutes."""
        self.connection.execute(POSTPONE_PROOF)

    def wait_until_nothing_is_open(self, seconds_max: float) -> float:
        """Wait until every trade is final; return the seconds that took. Raises TimeoutError."""
        began = time.monotonic()
        while open_trades := self.open_trades():
            if time.monotonic() - began > seconds_max:
                raise TimeoutError(f"{open_trades} trades are still open after {seconds_max:.0f} s")
            time.sleep(0.1)
        return time.monotonic() - began

    @contextmanager
    def counting_statements(self) -> Iterator[list[tuple[int, float, int, str]]]:
        """Count statements inside the block; afterwards the list has (calls, total ms, rows, text) of each."""
        statements: list[tuple[int, float, int, str]] = []
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        try:
            self._set({"pg_stat_statements.track": "top"})
            self.connection.execute("SELECT pg_stat_statements_reset()")
            yield statements
            statements += self.connection.execute(STATEMENTS).fetchall()
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
