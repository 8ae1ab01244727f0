"""Store every order that the exchange accepted, and format it for brokers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from exchange.simulator.database import Database
from exchange.simulator.execute_request import Terms
from exchange.simulator.formats import format_money, format_time

# The number of parameters in a statement. Every build of SQLite accepts this many.
PARAMETERS_MAX = 500

_COLUMNS = (
    "sequence, trade_id, ticker, type, quantity, max_price, expires_at, callback_url, received_at, last_received_at, "
    "times_received, due_at, status, price, amount, reason, reason_code, execution_id, final_at, delivered_at"
)


class Order(NamedTuple):
    """A stored trade. Money is in units of 1/10,000 USD, times are in microseconds."""

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
        """Return the terms on which the trade was accepted."""
        return Terms(self.trade_id, self.ticker, self.type, self.quantity, self.max_price, self.expires_at)


class Decision(NamedTuple):
    """The outcome of a trade."""

    status: str
    price: int | None
    amount: int | None
    reason: str | None
    reason_code: str | None
    execution_id: str
    final_at: int


class Pending(NamedTuple):
    """A trade that is yet to be executed, or whose report is yet to be delivered."""

    sequence: int
    callback_url: str
    due_at: int
    final: bool


def report(order: Order) -> dict[str, Any]:
    """Return the report on a trade in the format of the protocol."""
    return {
        "tradeId": order.trade_id,
        "status": order.status,
        "stockTicker": order.ticker,
        "type": order.type,
        "quantity": order.quantity,
        "price": None if order.price is None else format_money(order.price),
        "amount": None if order.amount is None else format_money(order.amount),
        "reason": order.reason,
        "reasonCode": order.reason_code,
        "executionId": order.execution_id,
        "executedAt": None if order.final_at is None else format_time(order.final_at),
    }


def record_entry(order: Order) -> dict[str, Any]:
    """Return an entry of the exchange's record: the report, and everything else about the trade."""
    times = {
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
        | {"maxPrice": None if order.max_price is None else format_money(int(order.max_price))}
        | {name: None if time is None else format_time(time) for name, time in times.items()}
    )


class OrderStore:
    """The exchange's record of its orders, in order of arrival."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, terms: Terms, callback_url: str, received_at: int, due_at: int) -> int | None:
        """Insert a trade and return its sequence number; if its id already exists, change nothing and return None."""
        cursor = self.database.write(
            "INSERT INTO orders (trade_id, ticker, type, quantity, max_price, expires_at, callback_url, received_at,"
            " last_received_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (trade_id) DO NOTHING",
            (*terms, callback_url, received_at, received_at, due_at),
        )
        return cursor.lastrowid if cursor.rowcount else None

    def received_again(self, trade_id: str, callback_url: str, at: int) -> None:
        """Count a repeated arrival of a trade, and store the newest callback URL for its report."""
        self.database.write(
            "UPDATE orders SET times_received = times_received + 1, last_received_at = ?, callback_url = ?"
            " WHERE trade_id = ?",
            (at, callback_url, trade_id),
        )

    def decide(self, decisions: Iterable[tuple[int, Decision]]) -> None:
        """Record the outcomes of trades, by sequence number. Idempotent: an outcome is never replaced."""
        self.database.write_many(
            "UPDATE orders SET status = ?, price = ?, amount = ?, reason = ?, reason_code = ?, execution_id = ?,"
            " final_at = ? WHERE sequence = ? AND final_at IS NULL",
            [(*decision, sequence) for sequence, decision in decisions],
        )

    def delivered(self, sequences: Iterable[int], at: int) -> None:
        """Record that reports need not be sent again. Idempotent."""
        self.database.write_many(
            "UPDATE orders SET delivered_at = ? WHERE sequence = ? AND delivered_at IS NULL",
            [(at, sequence) for sequence in sequences],
        )

    def find(self, trade_id: str) -> Order | None:
        """Return the trade with this id, or None."""
        row = next(iter(self.database.read(f"SELECT {_COLUMNS} FROM orders WHERE trade_id = ?", (trade_id,))), None)
        return Order._make(row) if row else None

    def read(self, sequences: Sequence[int]) -> list[Order]:
        """Return the trades with these sequence numbers, in order."""
        orders: list[Order] = []
        for n in range(0, len(sequences), PARAMETERS_MAX):
            batch = sequences[n : n + PARAMETERS_MAX]
            marks = ",".join("?" * len(batch))
            query = f"SELECT {_COLUMNS} FROM orders WHERE sequence IN ({marks}) ORDER BY sequence"
            orders += map(Order._make, self.database.read(query, batch))
        return orders

    def page(self, after: int, limit: int) -> list[Order]:
        """Return the trades after this sequence number, in order of arrival."""
        query = f"SELECT {_COLUMNS} FROM orders WHERE sequence > ? ORDER BY sequence LIMIT ?"
        return [Order._make(row) for row in self.database.read(query, (after, limit))]

    def pending(self) -> list[Pending]:
        """Return the trades that an earlier process left to execute or to report, in order of arrival."""
        query = (
            "SELECT sequence, callback_url, due_at, final_at IS NOT NULL FROM orders"
            " WHERE delivered_at IS NULL ORDER BY sequence"
        )
        return [
            Pending(sequence, url, due_at, bool(final)) for sequence, url, due_at, final in self.database.read(query)
        ]
