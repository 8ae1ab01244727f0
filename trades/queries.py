"""What is read and written of trades, for sets: each statement once, with its name and its reason.

The statements in SQL are those of the hot path. Sets go in as arrays, so a statement costs about the same for one
row and for a hundred. A move and its line in the history are one statement: there is never one without the other.
Times are those of the statement: the transaction began before it had the lock, perhaps before the trade was placed.
Each that moves trades says so in the log, with their ids, once it is committed.
For the same reason a move's `xact` is never below that of the customer's move before it: the feed is in that order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction

from trades.models import Report, Status, Trade

log = structlog.get_logger()


class MovedElsewhere(Exception):
    """A trade was not in the state in which it was read: somebody moved it without its customer's lock."""


class Placing(NamedTuple):
    """A trade to be recorded, and the door that it came through."""

    trade: Trade
    by: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a trade ends: FILLED at a price, or REJECTED for a reason. `reason`: the exchange's own words, if any."""

    trade: Trade
    status: Status
    reason_code: str = ""
    price: Decimal | None = None
    amount: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Handling:
    """What became of a report, and why."""

    report: Report
    outcome: str
    reason: str = ""


def record(placings: Sequence[Placing]) -> list[bool]:
    """Write PLACED trades with their history, and give each its number and its time; which of them were written.

    The customers of the others have no counter yet, or somebody else is placing for them. Raises IntegrityError.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            RECORD,
            [
                [placing.trade.id for placing in placings],
                [placing.trade.customer_id for placing in placings],
                [placing.trade.ticker for placing in placings],
                [placing.trade.type for placing in placings],
                [placing.trade.quantity for placing in placings],
                [placing.trade.idempotency_key for placing in placings],
                [placing.by for placing in placings],
            ],
        )
        recorded = {trade_id: (sequence, placed_at) for trade_id, sequence, placed_at in cursor.fetchall()}
    for trade, _ in placings:
        if trade.id in recorded:
            trade.sequence, trade.placed_at = recorded[trade.id]
    return [trade.id in recorded for trade, _ in placings]


def wait_in_line(customer_id: int) -> None:
    """Make sure of a customer's counter, and wait until nobody else is placing for them; then nobody can until the
    transaction, which must be open, ends."""
    with connection.cursor() as cursor:
        cursor.execute(MAKE_COUNTER, [customer_id])
        cursor.execute(LOCK_COUNTER, [customer_id])


def end(endings: Sequence[Ending], by: str) -> None:
    """Make trades final, each with its line in the history. Raises MovedElsewhere. Needs the customers' lock."""
    if endings:
        _execute_for_each(
            END,
            len(endings),
            [
                [ending.trade.id for ending in endings],
                [ending.trade.status for ending in endings],
                [ending.status for ending in endings],
                [ending.reason_code for ending in endings],
                [ending.price for ending in endings],
                [ending.amount for ending in endings],
                [ending.reason for ending in endings],
                by,
            ],
        )
        _say("filled", [ending.trade for ending in endings if ending.status == Status.FILLED], by)
        _say("rejected", [ending.trade for ending in endings if ending.status == Status.REJECTED], by)


def claim(trades: Sequence[Trade], execute_within_seconds: int, ask_after_seconds: int, by: str) -> None:
    """Make PLACED trades IN PROGRESS, with their `max_price` and with times by the database's clock, set on them here.

    Raises MovedElsewhere, or IntegrityError where one is in flight. Needs the customers' lock.
    """
    if trades:
        rows = _execute_for_each(
            CLAIM,
            len(trades),
            [
                execute_within_seconds,
                ask_after_seconds,
                [trade.id for trade in trades],
                [trade.max_price for trade in trades],
                by,
            ],
        )
        expiry = dict(rows)
        for trade in trades:
            trade.status, trade.expires_at = Status.IN_PROGRESS, expiry[trade.id]
        _say("claimed", trades, by)


def handle(handlings: Sequence[Handling]) -> None:
    """Write what became of waiting reports."""
    if handlings:
        _execute_for_each(
            HANDLE,
            len(handlings),
            [
                [handling.report.id for handling in handlings],
                [handling.outcome for handling in handlings],
                [handling.reason for handling in handlings],
            ],
        )


def oldest_placed(customer_ids: Iterable[int], each_max: int) -> list[Trade]:
    """The oldest PLACED trades, `each_max` at most, of each of these customers who has nothing in flight; in line."""
    return list(Trade.objects.raw(OLDEST_PLACED, [list(customer_ids), each_max]))


def _say(event: str, trades: Sequence[Trade], by: str) -> None:
    if trades:
        transaction.on_commit(lambda: log.info(event, trades=[str(trade.id) for trade in trades], by=by), robust=True)


def waiting_reports(customer_ids: Iterable[int]) -> list[Report]:
    """The reports on these customers' trades that no turn has handled, in the order in which they came."""
    return list(Report.objects.raw(WAITING_REPORTS, [list(customer_ids)]))


def trades_with_terms(trade_ids: Iterable[UUID | None]) -> dict[UUID | None, Trade]:
    """Trades by id, as far as TERMS goes."""
    return {trade.id: trade for trade in Trade.objects.filter(id__any_of=trade_ids).only(*TERMS)}


def _execute_for_each(statement: str, rows: int, parameters: list) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        answer = cursor.fetchall()
    if len(answer) != rows:
        raise MovedElsewhere(f"{rows} rows were to change, {len(answer)} did")
    return answer


# One statement, so that numbers, trades and their history cost one round trip, and so that the counters' rows, whose
# lock makes the order of numbers the order of commits, are locked as briefly as can be. Whoever is locked is left out,
# so that no customer's placing waits for another's. Counters keep `xact` for the feed's order: this transaction got its
# number with its first lock, and may have the next lock after one with a higher number.
RECORD = """
    WITH asked AS (
        SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY place) AS nth,
               count(*) OVER (PARTITION BY customer_id) AS number
        FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[])
            WITH ORDINALITY AS new (id, customer_id, ticker, type, quantity, key, by, place)
    ), free AS (
        SELECT customer_id FROM trades_tradecounter WHERE customer_id IN (SELECT customer_id FROM asked)
        FOR NO KEY UPDATE SKIP LOCKED
    ), counter AS (
        UPDATE trades_tradecounter AS c
        SET last = c.last + number, xact = GREATEST(c.xact, pg_current_xact_id()::text::bigint)
        FROM free JOIN asked ON asked.customer_id = free.customer_id AND nth = 1
        WHERE c.customer_id = free.customer_id
        RETURNING c.customer_id, c.last - number AS before, c.xact
    ), trade AS (
        INSERT INTO trades_trade
            (id, customer_id, sequence, ticker, type, quantity, idempotency_key, status, reason_code)
        SELECT id, customer_id, before + nth, ticker, type, quantity, key, 'PLACED', ''
        FROM asked JOIN counter USING (customer_id)
        RETURNING id, sequence, placed_at
    ), history AS (
        INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id, xact)
        SELECT id, '', 'PLACED', '', by, customer_id, xact FROM asked JOIN counter USING (customer_id)
        ORDER BY place
    )
    SELECT id, sequence, placed_at FROM trade
"""
MAKE_COUNTER = "INSERT INTO trades_tradecounter (customer_id, last) VALUES (%s, 0) ON CONFLICT DO NOTHING"
LOCK_COUNTER = "SELECT FROM trades_tradecounter WHERE customer_id = %s FOR NO KEY UPDATE"
# What a turn has to know of a trade. Its times, which nobody asks for, would cost more to read than all of these.
TERMS = ("id", "customer_id", "sequence", "ticker", "type", "quantity", "status", "max_price", "price", "amount")
END = """
    WITH ended AS (
        UPDATE trades_trade AS t
        SET status = new.status, reason_code = new.reason_code, price = new.price, amount = new.amount,
            settled_at = statement_timestamp()
        FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::text[])
            AS new (id, was, status, reason_code, price, amount, reason)
        WHERE t.id = new.id AND t.status = new.was
        RETURNING t.id, new.was, new.status, new.reason, t.customer_id
    )
    INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id, xact)
    SELECT id, was, status, reason, %s, customer_id, GREATEST(pg_current_xact_id()::text::bigint, (
        SELECT max(xact) FROM trades_statuschange AS m WHERE m.customer_id = ended.customer_id)) FROM ended
    RETURNING trade_id
"""
CLAIM = """
    WITH terms AS (
        SELECT statement_timestamp() AS at, statement_timestamp() + make_interval(secs => %s) AS expires_at,
               statement_timestamp() + make_interval(secs => %s) AS ask_at
    ), claimed AS (
        UPDATE trades_trade AS t
        SET status = 'IN PROGRESS', max_price = new.max_price, claimed_at = terms.at,
            expires_at = terms.expires_at, ask_at = terms.ask_at
        FROM unnest(%s::uuid[], %s::numeric[]) AS new (id, max_price), terms
        WHERE t.id = new.id AND t.status = 'PLACED'
        RETURNING t.id, t.expires_at, t.customer_id
    ), history AS (
        INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id, xact)
        SELECT id, 'PLACED', 'IN PROGRESS', '', %s, customer_id, GREATEST(pg_current_xact_id()::text::bigint, (
            SELECT max(xact) FROM trades_statuschange AS m WHERE m.customer_id = claimed.customer_id)) FROM claimed
    )
    SELECT id, expires_at FROM claimed
"""
# 'waiting' stands in the statement, not beside it: only so a plan made for all sets knows the index over what waits.
WAITING_REPORTS = """
    SELECT id, trade_id, body FROM trades_report WHERE customer_id = ANY (%s) AND outcome = 'waiting' ORDER BY id
"""
HANDLE = """
    UPDATE trades_report AS r SET outcome = new.outcome, reason = new.reason, handled_at = statement_timestamp()
    FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (id, outcome, reason)
    WHERE r.id = new.id RETURNING r.id
"""
OLDEST_PLACED = f"""
    SELECT {", ".join(f"t.{column}" for column in TERMS)} FROM unnest(%s::bigint[]) AS customer (id)
    CROSS JOIN LATERAL (
        SELECT * FROM trades_trade WHERE customer_id = customer.id AND status = 'PLACED' ORDER BY sequence LIMIT %s
    ) AS t
    WHERE NOT EXISTS (SELECT FROM trades_trade WHERE customer_id = customer.id AND status = 'IN PROGRESS')
    ORDER BY t.customer_id, t.sequence
"""
