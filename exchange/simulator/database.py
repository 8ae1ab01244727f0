"""The exchange's database: one SQLite file. Committed data survives if the process is killed at any instant."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    trade_id TEXT NOT NULL UNIQUE,
    ticker TEXT NOT NULL,
    type TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    max_price TEXT,
    expires_at INTEGER,
    callback_url TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    last_received_at INTEGER NOT NULL,
    times_received INTEGER NOT NULL DEFAULT 1,
    due_at INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACCEPTED',
    price INTEGER,
    amount INTEGER,
    reason TEXT,
    reason_code TEXT,
    execution_id TEXT UNIQUE,
    final_at INTEGER,
    delivered_at INTEGER
);
CREATE INDEX IF NOT EXISTS undelivered ON orders (sequence) WHERE delivered_at IS NULL;
CREATE TABLE IF NOT EXISTS corporate_actions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    action_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    ticker TEXT NOT NULL,
    ex_date TEXT NOT NULL,
    record_date TEXT,
    pay_date TEXT,
    amount_per_share INTEGER,
    numerator INTEGER,
    denominator INTEGER,
    new_ticker TEXT,
    reference_price INTEGER,
    announced_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS closures (
    day TEXT PRIMARY KEY,
    close TEXT,
    reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    offset_micros INTEGER NOT NULL
);
"""


class Database:
    """One SQLite file and one connection. Writes in the same iteration of the event loop share a transaction.

    Reads through this object see a write immediately. It is durable when `committed()` returns.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(folder / "orders.sqlite3", isolation_level=None, cached_statements=64)
        # A second process on the same file would execute every trade twice.
        self.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.connection.execute("PRAGMA busy_timeout = 1000")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.executescript(_SCHEMA)
        self._commit: asyncio.Future[None] | None = None

    def close(self) -> None:
        """Commit the open transaction, if any, and close the connection. Idempotent."""
        if self._commit is not None:
            self._flush(self._commit)
        self.connection.close()

    def read(self, query: str, values: Sequence[Any] = ()) -> Iterable[Any]:
        """Return the rows of a query."""
        return self.connection.execute(query, values)

    async def committed(self) -> None:
        """Wait until all writes so far are durable. Raises sqlite3.Error if the commit failed."""
        if self._commit is not None:
            await asyncio.shield(self._commit)

    def commit(self) -> None:
        """Commit all writes so far, now. Raises sqlite3.Error if the commit failed."""
        if self._commit is not None:
            commit = self._commit
            self._flush(commit)
            commit.result()

    def write(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        """Execute a statement that writes. If it raises sqlite3.Error, the whole transaction is rolled back."""
        return self._in_transaction(lambda: self.connection.execute(statement, values))

    def write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> sqlite3.Cursor:
        """Execute a statement once for each row. If it raises sqlite3.Error, the whole transaction is rolled back."""
        return self._in_transaction(lambda: self.connection.executemany(statement, rows))

    def _in_transaction(self, write: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        if self._commit is None:
            self.connection.execute("BEGIN IMMEDIATE")
            loop = asyncio.get_running_loop()
            self._commit = loop.create_future()
            # All tasks that run in this iteration of the loop write before this call.
            loop.call_soon(self._flush, self._commit)
        try:
            return write()
        except sqlite3.Error as error:
            # A set of trades must not be stored in part, so all writes of the transaction fail.
            self._abandon(self._commit, error)
            raise

    def _flush(self, commit: asyncio.Future[None]) -> None:
        if self._commit is not commit:
            return
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon(commit, error)
        else:
            self._commit = None
            commit.set_result(None)

    def _abandon(self, commit: asyncio.Future[None], error: sqlite3.Error) -> None:
        self._commit = None
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        commit.set_exception(error)
        commit.exception()  # marks it as retrieved, because nobody may be waiting for it
