"""Queries for turns and sweeps. Each statement is written only once, here, and serves a whole set of customers.

They read partial indexes over open trades and reports, so their cost does not grow with the number of final trades.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection

from accounts.account import Shares
from trades.controls import Rules
from trades.models import Report, Status, Trade

# The fields of a trade that a turn needs. Reading its times as well would cost more than all of these.
_NEEDED = {
    *("id", "customer_id", "sequence", "ticker", "type", "quantity", "status"),
    *("when_closed", "queued_at", "max_price", "last_price", "collar", "lot_method", "price", "amount"),
}
TERMS = [field.attname for field in Trade._meta.concrete_fields if field.attname in _NEEDED]  # in `from_db`'s order
REPORT = ("id", "trade_id", "body")
DUE_CUSTOMERS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Due:
    """A customer for whom a turn is due, and for how many seconds it has been due."""

    customer_id: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """The input of a turn: the waiting reports, in order of arrival, and the trades that may come next.

    `trades` has those that the reports are about, by id; `placed` has each customer's oldest, in order. `positions` has
    the shares that these trades may change, by customer id and ticker, where there are any.
    """

    reports: list[Report] = field(default_factory=list)
    trades: dict[UUID | None, Trade] = field(default_factory=dict)
    placed: list[Trade] = field(default_factory=list)
    positions: dict[tuple[int, str], Shares] = field(default_factory=dict)

    def placed_after(self, ended: Collection[Trade]) -> list[Trade]:
        """Return the placed trades of customers that have no trade in flight once these trades have ended."""
        in_flight = {
            trade.customer_id
            for trade in self.trades.values()
            if trade.status == Status.IN_PROGRESS and trade not in ended
        }
        return [trade for trade in self.placed if trade.customer_id not in in_flight]


def due_customers(rules: Rules, *, after_seconds: float = 0, limit: int = DUE_CUSTOMERS_MAX) -> list[Due]:
    """Return the customers for whom a turn is due, longest waiting first.

    A turn is due if there is a report to settle, or if nothing is in flight and the oldest PLACED trade is not halted.
    In that case it has been due since the trade was placed or since the trade before it ended, whichever is later.
    Customers whose oldest PLACED trade waits for the opening are not included; see `queued_customers`.

    Args:
        rules: The halts in force.
        after_seconds: Skip customers for whom a turn has been due for less than this.
        limit: How many customers at most.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            DUE,
            {
                "after_seconds": after_seconds,
                "all_halted": rules.all_halted,
                "halted_customers": list(rules.halted_customers),
                "halted_tickers": list(rules.halted_tickers),
                "limit": limit,
            },
        )
        return [Due(*row) for row in cursor.fetchall()]


def queued_customers(rules: Rules, after: int, limit: int) -> tuple[list[int], list[int]]:
    """Return the next customers, in order of id, that have trades queued for the opening.

    Args:
        rules: The halts in force.
        after: Begin after this customer; 0 begins with the first.
        limit: How many customers at most.

    Returns:
        The customers, and those among them whose first trade in line could be claimed now.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            QUEUED,
            {
                "after": after,
                "limit": limit,
                "all_halted": rules.all_halted,
                "halted_customers": list(rules.halted_customers),
                "halted_tickers": list(rules.halted_tickers),
            },
        )
        rows = cursor.fetchall()
    return [customer_id for customer_id, _ in rows], [customer_id for customer_id, is_due in rows if is_due]


def placed_with_key(customer_id: int, key: str) -> Trade | None:
    """Return the trade that a customer placed with an idempotency key, if any."""
    with connection.cursor() as cursor:  # most keys are new, and a query for a whole Trade takes long to compose
        cursor.execute("SELECT FROM trades_trade WHERE customer_id = %s AND idempotency_key = %s", [customer_id, key])
        if cursor.fetchone() is None:
            return None
    return Trade.objects.get(customer_id=customer_id, idempotency_key=key)


def overdue_trades(after_seconds: int, limit: int = 100) -> list[Trade]:
    """Return trades that have been IN PROGRESS for longer than this, longest first. They need manual review."""
    return list(Trade.objects.raw(OVERDUE, [after_seconds, limit]))


def waiting_reports(customer_ids: Iterable[int]) -> list[Report]:
    """Return the reports about these customers' trades that wait for a turn, in the order in which they arrived."""
    return list(Report.objects.raw(WAITING_REPORTS, [list(customer_ids)]))


def read_work(customer_ids: Iterable[int], placed_max: int) -> Work:
    """Return what there is to do for these customers, in one statement. Needs the customers' locks.

    Args:
        customer_ids: The customers.
        placed_max: How many of a customer's oldest PLACED trades to read. None are read for a customer whose trade in
            flight has no report yet, because nothing can be claimed then.
    """
    work = Work()
    with connection.cursor() as cursor:
        cursor.execute(READ_WORK, {"customers": list(customer_ids), "placed_max": placed_max})
        rows = cursor.fetchall()
    for report_id, body, quantity, held, cost, *terms in rows:
        trade = Trade.from_db(connection.alias, _NEEDED, terms)
        if quantity is not None:
            work.positions[trade.customer_id, trade.ticker] = Shares(quantity, held, cost)
        if report_id is None:
            work.placed.append(trade)
        else:
            work.reports.append(Report.from_db(connection.alias, REPORT, (report_id, trade.id, body)))
            work.trades.setdefault(trade.id, trade)
    return work


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{column}" for column in TERMS)


# A time ahead of the clock was written by another clock, before a failover, so it counts as due.
# The first in line is the trade without a PLACED trade before it. A report about a PLACED trade waits for the claim
# (see trades.settle), so in that case it is the trade that is due, and not the report. The subqueries with LIMIT look
# into an index once for each customer. As NOT EXISTS, they would be joins, which compare each trade in line with each
# in flight: the planner expects next to none, since nearly all trades are final when statistics are made.
DUE = """
    SELECT customer_id, abs(extract(epoch FROM statement_timestamp() - min(since)))::float8 AS seconds FROM (
        SELECT t.customer_id, greatest(t.placed_at, before.settled_at) AS since
        FROM trades_trade AS t
        LEFT JOIN trades_trade AS before ON before.customer_id = t.customer_id AND before.sequence = t.sequence - 1
        WHERE t.status = 'PLACED' AND t.queued_at IS NULL AND (
                  t.placed_at <= statement_timestamp() - make_interval(secs => %(after_seconds)s)
                  OR t.placed_at > statement_timestamp() + interval '1 second')
          AND NOT %(all_halted)s AND t.customer_id <> ALL (%(halted_customers)s::bigint[])
          AND t.ticker <> ALL (%(halted_tickers)s::text[])
          AND (SELECT f.id FROM trades_trade AS f
               WHERE f.customer_id = t.customer_id AND f.status = 'IN PROGRESS' LIMIT 1) IS NULL
          AND (SELECT p.id FROM trades_trade AS p
               WHERE p.customer_id = t.customer_id AND p.status = 'PLACED' AND p.sequence < t.sequence LIMIT 1) IS NULL
        UNION ALL
        SELECT r.customer_id, r.received_at FROM trades_report AS r JOIN trades_trade AS t ON t.id = r.trade_id
        WHERE r.outcome = 'waiting' AND t.status <> 'PLACED'
    ) AS due
    WHERE since <= statement_timestamp() - make_interval(secs => %(after_seconds)s)
       OR since > statement_timestamp() + interval '1 second'
    GROUP BY customer_id ORDER BY seconds DESC LIMIT %(limit)s
"""
# Jumps from customer to customer in the index, so a customer with a thousand queued trades costs no more than one with
# a single trade.
QUEUED = """
    WITH RECURSIVE queued AS (
        SELECT %(after)s::bigint AS customer_id
        UNION ALL
        SELECT (
            SELECT t.customer_id FROM trades_trade AS t
            WHERE t.status = 'PLACED' AND t.queued_at IS NOT NULL AND t.customer_id > queued.customer_id
            ORDER BY t.customer_id LIMIT 1)
        FROM queued WHERE queued.customer_id IS NOT NULL
    ), batch AS (
        SELECT customer_id FROM queued WHERE customer_id > %(after)s LIMIT %(limit)s
    )
    SELECT batch.customer_id,
           NOT %(all_halted)s AND batch.customer_id <> ALL (%(halted_customers)s::bigint[])
           AND first.ticker <> ALL (%(halted_tickers)s::text[])
           AND NOT EXISTS (
               SELECT FROM trades_trade AS f WHERE f.customer_id = batch.customer_id AND f.status = 'IN PROGRESS')
    FROM batch CROSS JOIN LATERAL (
        SELECT p.ticker FROM trades_trade AS p
        WHERE p.customer_id = batch.customer_id AND p.status = 'PLACED' ORDER BY p.sequence LIMIT 1
    ) AS first
    ORDER BY batch.customer_id
"""
OVERDUE = """
    SELECT * FROM trades_trade
    WHERE status = 'IN PROGRESS' AND claimed_at < statement_timestamp() - make_interval(secs => %s)
    ORDER BY claimed_at LIMIT %s
"""
# 'waiting' is part of the statement and not a parameter, because a generic plan could not use the partial index.
WAITING_REPORTS = """
    SELECT id, trade_id, body FROM trades_report WHERE customer_id = ANY (%s) AND outcome = 'waiting' ORDER BY id
"""
# A SELL needs its position as soon as it is claimed; a BUY not before it is settled. For LIMIT 1 see DUE. Without it,
# the planner reads all positions for each trade while its statistics say that there are none.
READ_WORK = f"""
    WITH report AS (
        SELECT id, trade_id, body FROM trades_report
        WHERE customer_id = ANY (%(customers)s::bigint[]) AND outcome = 'waiting'
    ), work AS (
        SELECT report.id AS report_id, body, {_columns("t")}
        FROM report JOIN trades_trade AS t ON t.id = report.trade_id
        UNION ALL
        SELECT NULL, NULL, {_columns("t")} FROM unnest(%(customers)s::bigint[]) AS customer (id)
        CROSS JOIN LATERAL (
            SELECT (SELECT f.id FROM trades_trade AS f
                    WHERE f.customer_id = customer.id AND f.status = 'IN PROGRESS' LIMIT 1) AS id
        ) AS in_flight
        CROSS JOIN LATERAL (
            SELECT * FROM trades_trade WHERE customer_id = customer.id AND status = 'PLACED'
            ORDER BY sequence LIMIT %(placed_max)s
        ) AS t
        WHERE in_flight.id IS NULL OR in_flight.id IN (SELECT trade_id FROM report)
    )
    SELECT report_id, body, p.quantity, p.held, p.cost, {_columns("work")}
    FROM work LEFT JOIN LATERAL (
        SELECT quantity, held, cost FROM accounts_position
        WHERE customer_id = work.customer_id AND ticker = work.ticker AND (report_id IS NOT NULL OR type = 'SELL')
        LIMIT 1
    ) AS p ON true
    ORDER BY report_id, work.customer_id, sequence
"""
