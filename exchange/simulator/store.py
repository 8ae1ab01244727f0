"""The exchange's own record, in SQLite. What has been committed survives the end of the process at any instant."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exchange.simulator.notation import money, rfc3339
from exchange.simulator.terms import Terms

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
"""

#: Numbers of a single statement's parameters stay under every SQLite build's limit.
NUMBERS_A_STATEMENT = 500

_COLUMNS = (
    "sequence, trade_id, ticker, type, quantity, max_price, expires_at, callback_url, received_at, last_received_at, "
    "times_received, due_at, status, price, amount, reason, reason_code, execution_id, final_at, delivered_at"
)


class Order(NamedTuple):
    """One trade as the record holds it. Money in units of 1/10,000 USD, moments in microseconds."""

    sequence: int
    trade_id: str
    ticker: str
    type: str
    quantity: int
    max_price: str | None
    expires_at: int | None
    callback_url: str
    received_at: int
    last_received_at: int
    times_received: int
    due_at: int
    status: str
    price: int | None
    amount: int | None
    reason: str | None
    reason_code: str | None
    execution_id: str | None
    final_at: int | None
    delivered_at: int | None

    @property
    def terms(self) -> Terms:
        return Terms(self.trade_id, self.ticker, self.type, self.quantity, self.max_price, self.expires_at)


class Decision(NamedTuple):
    """How a trade ended."""

    status: str
    price: int | None
    amount: int | None
    reason: str | None
    reason_code: str | None
    execution_id: str
    final_at: int


class Pending(NamedTuple):
    """A trade that still has to be executed, or whose report has still to be delivered."""

    sequence: int
    callback_url: str
    due_at: int
    final: bool


def report(order: Order) -> dict[str, Any]:
    """The exchange's word on one trade, as a broker reads it."""
    return {
        "tradeId": order.trade_id,
        "status": order.status,
        "stockTicker": order.ticker,
        "type": order.type,
        "quantity": order.quantity,
        "price": None if order.price is None else money(order.price),
        "amount": None if order.amount is None else money(order.amount),
        "reason": order.reason,
        "reasonCode": order.reason_code,
        "executionId": order.execution_id,
        "executedAt": None if order.final_at is None else rfc3339(order.final_at),
    }


def record(order: Order) -> dict[str, Any]:
    """A report with all else that the record knows of the trade."""
    moments = {
        "receivedAt": order.received_at,
        "firstReceivedAt": order.received_at,
        "lastReceivedAt": order.last_received_at,
        "expiresAt": order.expires_at,
        "finalAt": order.final_at,
        "deliveredAt": order.delivered_at,
    }
    return (
        report(order)
        | {"sequence": order.sequence, "timesReceived": order.times_received}
        | {"maxPrice": None if order.max_price is None else money(int(order.max_price))}
        | {name: None if moment is None else rfc3339(moment) for name, moment in moments.items()}
    )


class Store:
    """One SQLite file and one connection. Writes of one turn of the event loop share a transaction.

    A write takes effect at once for those who read through this object; `committed()` returns when it is durable.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "orders.sqlite3", isolation_level=None, cached_statements=64)
        # A second process on the same record would execute every trade twice.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA busy_timeout = 1000")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._commit: asyncio.Future[None] | None = None

    def close(self) -> None:
        """Commit what is open and close. Repeating it does nothing."""
        if self._commit is not None:
            self._flush(self._commit)
        self._db.close()

    def add(self, terms: Terms, callback_url: str, received_at: int, due_at: int) -> int | None:
        """Write a trade down; its sequence, or None when its id is there already (then nothing changes)."""
        cursor = self._write(
            "INSERT INTO orders (trade_id, ticker, type, quantity, max_price, expires_at, callback_url, received_at,"
            " last_received_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (trade_id) DO NOTHING",
            (*terms, callback_url, received_at, received_at, due_at),
        )
        return cursor.lastrowid if cursor.rowcount else None

    def received_again(self, trade_id: str, callback_url: str, at: int) -> None:
        """Count that a trade came again. The newest address is where a report that has not been delivered yet goes."""
        self._write(
            "UPDATE orders SET times_received = times_received + 1, last_received_at = ?, callback_url = ?"
            " WHERE trade_id = ?",
            (at, callback_url, trade_id),
        )

    def decide(self, decisions: Iterable[tuple[int, Decision]]) -> None:
        """Write down how trades, by sequence, ended. A trade that has ended already stays as it is."""
        self._write_many(
            "UPDATE orders SET status = ?, price = ?, amount = ?, reason = ?, reason_code = ?, execution_id = ?,"
            " final_at = ? WHERE sequence = ? AND final_at IS NULL",
            [(*decision, sequence) for sequence, decision in decisions],
        )

    def delivered(self, sequences: Iterable[int], at: int) -> None:
        """Note that reports need not be sent any more. Repeating it changes nothing."""
        self._write_many(
            "UPDATE orders SET delivered_at = ? WHERE sequence = ? AND delivered_at IS NULL",
            [(at, sequence) for sequence in sequences],
        )

    def find(self, trade_id: str) -> Order | None:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM orders WHERE trade_id = ?", (trade_id,)).fetchone()
        return Order._make(row) if row else None

    def read(self, sequences: Sequence[int]) -> list[Order]:
        """The trades with those sequences, in order of sequence."""
        found: list[Order] = []
        for n in range(0, len(sequences), NUMBERS_A_STATEMENT):
            some = sequences[n : n + NUMBERS_A_STATEMENT]
            marks = ",".join("?" * len(some))
            query = f"SELECT {_COLUMNS} FROM orders WHERE sequence IN ({marks}) ORDER BY sequence"
            found += map(Order._make, self._db.execute(query, some))
        return found

    def page(self, after: int, limit: int) -> list[Order]:
        """The trades that arrived after that sequence, in order of arrival."""
        query = f"SELECT {_COLUMNS} FROM orders WHERE sequence > ? ORDER BY sequence LIMIT ?"
        return [Order._make(row) for row in self._db.execute(query, (after, limit))]

    def pending(self) -> list[Pending]:
        """What an earlier process left undone, in order of arrival."""
        query = (
            "SELECT sequence, callback_url, due_at, final_at IS NOT NULL FROM orders"
            " WHERE delivered_at IS NULL ORDER BY sequence"
        )
        return [Pending(sequence, url, due_at, bool(final)) for sequence, url, due_at, final in self._db.execute(query)]

    async def committed(self) -> None:
        """Wait until everything written so far is durable. Raises sqlite3.Error when it could not be."""
        if self._commit is not None:
            await asyncio.shield(self._commit)

    def commit(self) -> None:
        """Make everything written so far durable now. Raises sqlite3.Error when it could not be."""
        if self._commit is not None:
            commit = self._commit
            self._flush(commit)
            commit.result()

    def _write(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        return self._in_transaction(lambda: self._db.execute(statement, values))

    def _write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> sqlite3.Cursor:
        return self._in_transaction(lambda: self._db.executemany(statement, rows))

    def _in_transaction(self, write: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        if self._commit is None:
            self._db.execute("BEGIN IMMEDIATE")
            loop = asyncio.get_running_loop()
            self._commit = loop.create_future()
            # Everybody whose turn it is in this round of the loop writes before this call is reached.
            loop.call_soon(self._flush, self._commit)
        try:
            return write()
        except sqlite3.Error as error:
            # Half a set must not be kept, so all who share the transaction lose it and hear of it.
            self._abandon(self._commit, error)
            raise

    def _flush(self, commit: asyncio.Future[None]) -> None:
        if self._commit is not commit:
            return
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon(commit, error)
        else:
            self._commit = None
            commit.set_result(None)

    def _abandon(self, commit: asyncio.Future[None], error: sqlite3.Error) -> None:
        self._commit = None
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        commit.set_exception(error)
        commit.exception()  # looked at here, since there may be nobody waiting
