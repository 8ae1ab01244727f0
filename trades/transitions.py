"""Write the status changes of trades and the verdicts on reports, with one statement for a whole set.

`end`, `claim`, `queue` and `write_verdicts` only add a part to `Writes`: a turn writes everything with one statement,
or two. Each part writes both a trade's new status and its history, so there is never one without the other. Times are
those of the statement, not of its transaction: a transaction begins before it has the lock, perhaps even before the
trade was placed. For the same reason, the `xact` of a status change is never below that of the customer's previous one,
because it is the order of the feed. The ids of trades that change status are logged after the commit.

docs/explanation/why-not-the-orm.md explains why these statements are SQL and not the ORM's.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction

from accounts import tokens
from trades.models import Outcome, Report, Status, Trade
from web.access import Access
from web.writes import Writes

log = structlog.get_logger()


class ChangedElsewhere(Exception):
    """A trade was no longer in the status in which it was read: something changed it without the customer's lock."""


class Placing(NamedTuple):
    """A trade to insert, the door that it came through, and whether it must wait for the opening.

    With `access`, the trade is inserted only if that is still as it is remembered, which this confirms.
    """

    trade: Trade
    by: str
    is_queued: bool = False
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a trade ends: FILLED at a price, or REJECTED with a reason code. `reason` is the exchange's text, if any."""

    trade: Trade
    status: Status
    reason_code: str = ""
    price: Decimal | None = None
    amount: Decimal | None = None
    fees: dict[str, str] | None = None
    executed_at: datetime | None = None
    settles_on: date | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A turn's verdict on a report, and the reason."""

    report: Report
    outcome: str
    reason: str = ""


def insert_trades(placings: Sequence[Placing]) -> list[bool]:
    """Insert PLACED trades with their history, and set each one's `sequence` and `placed_at`.

    A trade is not inserted if its customer has no counter yet, if another transaction has locked the customer or is
    placing for the customer, or if the access with which it is placed has ended or changed.

    Returns:
        For each trade, whether it was inserted.

    Raises:
        IntegrityError: A key was used before.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_TRADES,
            [
                [placing.trade.id for placing in placings],
                [placing.trade.customer_id for placing in placings],
                [placing.trade.ticker for placing in placings],
                [placing.trade.type for placing in placings],
                [placing.trade.quantity for placing in placings],
                [placing.trade.idempotency_key for placing in placings],
                [placing.trade.when_closed for placing in placings],
                [placing.trade.time_in_force for placing in placings],
                [placing.is_queued for placing in placings],
                [placing.by for placing in placings],
                [placing.access and placing.access.grant_id for placing in placings],
                [placing.access and placing.access.version for placing in placings],
            ],
        )
        inserted = {trade_id: (sequence, placed_at) for trade_id, sequence, placed_at in cursor.fetchall()}
    for trade, _, is_queued, access in placings:
        if trade.id in inserted:
            trade.sequence, trade.placed_at = inserted[trade.id]
            trade.queued_at = trade.placed_at if is_queued else None
            if access is not None:
                access.is_confirmed = True
    return [placing.trade.id in inserted for placing in placings]


def lock_counter(customer_id: int) -> None:
    """Wait until no other transaction is placing for this customer, and keep others out until this one ends.

    Creates the customer's counter if there is none yet. Needs a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(INSERT_COUNTER, [customer_id])
        cursor.execute(LOCK_COUNTER, [customer_id])


def end(writes: Writes, endings: Sequence[Ending], by: str) -> None:
    """Make trades final, in this order. Needs the customers' lock.

    Executing it raises ChangedElsewhere if one of them is no longer in the status in which it was read.
    """
    if endings:
        writes.add(
            END,
            [
                [ending.trade.id for ending in endings],
                [ending.trade.status for ending in endings],
                [ending.status for ending in endings],
                [ending.reason_code for ending in endings],
                [ending.price for ending in endings],
                [ending.amount for ending in endings],
                [None if ending.fees is None else json.dumps(ending.fees) for ending in endings],
                [ending.executed_at for ending in endings],
                [ending.settles_on for ending in endings],
                [ending.reason for ending in endings],
                by,
            ],
            "(SELECT count(*) FROM ended)",
            _must_be(len(endings)),
        )
        _log_on_commit("filled", [ending.trade for ending in endings if ending.status == Status.FILLED], by)
        _log_on_commit("rejected", [ending.trade for ending in endings if ending.status == Status.REJECTED], by)


def queue(writes: Writes, trades: Sequence[Trade]) -> None:
    """Make PLACED trades wait for the opening. Needs the customers' lock.

    Executing it raises ChangedElsewhere if one of them is no longer PLACED.
    """
    if trades:
        ids = [trade.id for trade in trades]
        writes.add(QUEUE, [ids], "(SELECT count(*) FROM queued)", _must_be(len(trades)))
        log.info("queued", trades=list(map(str, ids)))


def rename(trades: Sequence[Trade], ticker: str) -> None:
    """Move PLACED trades to the new ticker of their stock. Needs the customers' lock.

    Raises:
        ChangedElsewhere: One of them is no longer PLACED.
    """
    if trades:
        with connection.cursor() as cursor:
            cursor.execute(RENAME, [ticker, [trade.id for trade in trades]])
            _must_be(len(trades))(cursor.rowcount)
        _log_on_commit(f"renamed to {ticker}", trades, "sweep")


def claim(
    writes: Writes,
    trades: Sequence[Trade],
    exchange_now: datetime | None,
    execute_within_seconds: int,
    ask_after_seconds: int,
    by: str,
) -> None:
    """Make PLACED trades IN PROGRESS with the holds that they have, and set `expires_at`.

    Needs the customers' lock. Executing it raises ChangedElsewhere if one of the trades is no longer PLACED, and
    IntegrityError if the customer has another trade in flight.

    Args:
        writes: The statement to add it to.
        trades: The trades, with their holds set.
        exchange_now: The exchange's time, from which `expires_at` is counted; None: use the database's time.
        execute_within_seconds: From now until `expires_at`.
        ask_after_seconds: From now until the sweep asks about them.
        by: The process, for the history.
    """
    if not trades:
        return

    def set_status(expires_at: Sequence[datetime] | None) -> None:
        _must_be(len(trades))(len(expires_at or ()))
        for trade, moment in zip(trades, expires_at or (), strict=True):  # the same for all
            trade.status, trade.expires_at = Status.IN_PROGRESS, moment

    writes.add(
        CLAIM,
        [
            exchange_now,
            execute_within_seconds,
            ask_after_seconds,
            [trade.id for trade in trades],
            [trade.max_price for trade in trades],
            [trade.last_price for trade in trades],
            [trade.collar for trade in trades],
            [trade.lot_method for trade in trades],
            by,
        ],
        "(SELECT array_agg(expires_at) FROM claimed)",
        set_status,
    )
    _log_on_commit("claimed", trades, by)


def write_verdicts(writes: Writes, verdicts: Sequence[Verdict]) -> None:
    """Write a turn's verdicts on waiting reports."""
    if verdicts:
        writes.add(
            WRITE_VERDICTS,
            [
                [verdict.report.id for verdict in verdicts],
                [verdict.outcome for verdict in verdicts],
                [verdict.reason for verdict in verdicts],
            ],
            "(SELECT count(*) FROM judged)",
            _must_be(len(verdicts)),
        )
    for verdict in verdicts:
        if verdict.outcome not in {Outcome.SETTLED, Outcome.AGREES}:
            log.error("report needs manual review", trade=str(verdict.report.trade_id), outcome=verdict.outcome)


def _must_be(expected: int) -> Callable[[int], None]:
    def check(changed: int) -> None:
        if changed != expected:
            raise ChangedElsewhere(f"expected {expected} rows to change, but {changed} did")

    return check


def _log_on_commit(event: str, trades: Sequence[Trade], by: str) -> None:
    if trades:
        ids: list[UUID] = [trade.id for trade in trades]
        transaction.on_commit(lambda: log.info(event, trades=list(map(str, ids)), by=by), robust=True)


# One statement, so that numbers, trades and history cost one round trip and the counters are locked as briefly as
# possible; that lock puts the numbers in the order of the commits. Customers that are locked, or whose counters are,
# are skipped, so that no customer's order waits for another's. A customer's `placed_at` strictly increases, whatever
# the clock does, so that a list can be continued after a time. Counters store `xact` for the order of the feed: a
# transaction gets its id with its first lock, and may get its next lock after a transaction with a higher id.
INSERT_TRADES = f"""
    WITH new AS (
        SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY place) AS nth,
               count(*) OVER (PARTITION BY customer_id) AS number
        FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],
                    %s::bool[], %s::text[], %s::uuid[], %s::text[]) WITH ORDINALITY
            AS new (id, customer_id, ticker, type, quantity, key, when_closed, time_in_force, is_queued, by,
                    grant_id, version, place)
        WHERE grant_id IS NULL OR {tokens.unchanged("new.grant_id", "new.version")}
    ), free AS (
        SELECT c.customer_id FROM trades_tradecounter AS c JOIN accounts_customer AS p ON p.id = c.customer_id
        WHERE c.customer_id IN (SELECT customer_id FROM new)
        FOR NO KEY UPDATE OF c SKIP LOCKED FOR KEY SHARE OF p SKIP LOCKED
    ), counter AS (
        UPDATE trades_tradecounter AS c
        SET last = c.last + number, xact = GREATEST(c.xact, pg_current_xact_id()::text::bigint),
            placed_at = GREATEST(statement_timestamp(), c.placed_at + interval '1 microsecond')
                        + (number - 1) * interval '1 microsecond'
        FROM free JOIN new ON new.customer_id = free.customer_id AND nth = 1
        WHERE c.customer_id = free.customer_id
        RETURNING c.customer_id, c.last, c.last - number AS before, c.xact, c.placed_at
    ), numbered AS (
        SELECT new.*, before + nth AS sequence, xact,
               placed_at - (last - before - nth) * interval '1 microsecond' AS placed_at
        FROM new JOIN counter USING (customer_id)
    ), trade AS (
        INSERT INTO trades_trade
            (id, customer_id, sequence, ticker, type, quantity, idempotency_key, placed_at, status, reason_code,
             when_closed, time_in_force, queued_at)
        SELECT id, customer_id, sequence, ticker, type, quantity, key, placed_at, 'PLACED', '',
               when_closed, time_in_force, CASE WHEN is_queued THEN placed_at END
        FROM numbered
        RETURNING id, sequence, placed_at
    ), history AS (
        INSERT INTO trades_statuschange (trade_id, from_status, to_status, at, reason, by, customer_id, xact)
        SELECT id, '', 'PLACED', placed_at, '', by, customer_id, xact FROM numbered ORDER BY place
    )
    SELECT id, sequence, placed_at FROM trade
"""
INSERT_COUNTER = "INSERT INTO trades_tradecounter (customer_id, last) VALUES (%s, 0) ON CONFLICT DO NOTHING"
RENAME = """
    UPDATE trades_trade SET ticker = %s, placed_as = coalesce(placed_as, ticker)
    WHERE id = ANY (%s) AND status = 'PLACED'
"""
# The place of a customer's next event in the feed. Needs the customer's lock.
NEXT_XACT = """GREATEST(pg_current_xact_id()::text::bigint,
        (SELECT max(xact) FROM trades_statuschange AS m WHERE m.customer_id = {0}.customer_id),
        (SELECT max(xact) FROM trades_entitlement AS m WHERE m.customer_id = {0}.customer_id))"""
LOCK_COUNTER = """
    SELECT FROM trades_tradecounter AS c JOIN accounts_customer AS p ON p.id = c.customer_id WHERE c.customer_id = %s
    FOR NO KEY UPDATE OF c FOR KEY SHARE OF p
"""
END = f"""
    ended AS (
        UPDATE trades_trade AS t
        SET status = new.status, reason_code = new.reason_code, price = new.price, amount = new.amount,
            fees = new.fees, executed_at = new.executed_at,
            settles_on = new.settles_on, settled_at = statement_timestamp(), ask_at = NULL
        FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[],
                    %s::jsonb[], %s::timestamptz[], %s::date[], %s::text[]) WITH ORDINALITY
            AS new (id, was, status, reason_code, price, amount, fees, executed_at, settles_on, reason, place)
        WHERE t.id = new.id AND t.status = new.was
        RETURNING t.id, new.was, new.status, new.reason, t.customer_id, new.place
    ), end_in_history AS (
        INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id, xact)
        SELECT id, was, status, reason, %s, customer_id, {NEXT_XACT.format("ended")} FROM ended ORDER BY place
    )
"""
QUEUE = """
    queued AS (
        UPDATE trades_trade SET queued_at = statement_timestamp()
        WHERE id = ANY (%s::uuid[]) AND status = 'PLACED' RETURNING id
    )
"""
CLAIM = f"""
    terms AS (
        SELECT statement_timestamp() AS at,
               coalesce(%s, statement_timestamp()) + make_interval(secs => %s) AS expires_at,
               statement_timestamp() + make_interval(secs => %s) AS ask_at
    ), claimed AS (
        UPDATE trades_trade AS t
        SET status = 'IN PROGRESS', max_price = new.max_price, last_price = new.last_price, collar = new.collar,
            lot_method = new.lot_method, claimed_at = terms.at, expires_at = terms.expires_at, ask_at = terms.ask_at
        FROM unnest(%s::uuid[], %s::numeric[], %s::numeric[], %s::numeric[], %s::text[])
            AS new (id, max_price, last_price, collar, lot_method), terms
        WHERE t.id = new.id AND t.status = 'PLACED'
        RETURNING t.id, t.expires_at, t.customer_id
    ), claim_in_history AS (
        INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id, xact)
        SELECT id, 'PLACED', 'IN PROGRESS', '', %s, customer_id, {NEXT_XACT.format("claimed")} FROM claimed
    )
"""
WRITE_VERDICTS = """
    judged AS (
        UPDATE trades_report AS r SET outcome = new.outcome, reason = new.reason, handled_at = statement_timestamp()
        FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (id, outcome, reason)
        WHERE r.id = new.id RETURNING r.id
    )
"""
