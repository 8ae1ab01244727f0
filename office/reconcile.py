"""Reconciliation: compare our trades and postings with the exchange's own record. Two independent books must agree.

The whole record is read page by page into a temporary table; then each comparison is one statement. The exchange is
asked again about each apparent difference, because trading went on while the record was read.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connection

from exchange import gateway
from exchange.messages import Malformed, Report, Unknown
from office import cases
from office.cases import Finding, Kind
from office.models import Reconciliation
from trades.models import Status, Trade

PAGE = 1000
IN_FLIGHT_SECONDS = 60  # how long a trade may still be IN PROGRESS here after it has ended at the exchange
FINDINGS_MAX = 500  # for each comparison: first those without an open exception, the newest first
STATEMENT_SECONDS_MAX = 600

log = structlog.get_logger()


def reconcile(asked_by: str = "") -> Reconciliation:
    """Compare our books with the exchange's record, and open an exception for each difference.

    It reads the whole record, which takes about a second for every ten thousand orders.

    Idempotent: no. Each call compares again.

    Raises:
        Unknown: The exchange does not answer.
    """
    began = time.monotonic()
    with _record_table() as cursor:
        orders = _read(cursor)
        findings = [*_trades_that_differ(cursor), *_unknown_there(cursor), *_unknown_here(cursor)]
        totals, tickers = _totals_that_differ(cursor)
        findings += [*totals, *_clearing_that_differs(cursor)]
        cursor.execute("SELECT count(*) FROM exchange_record WHERE status = 'FILLED'")
        (fills,) = cursor.fetchone()
    cases.open_cases(findings)
    log.info("reconciled", orders=orders, fills=fills, breaks=len(findings))
    return Reconciliation.objects.create(
        took_ms=int((time.monotonic() - began) * 1000),
        orders=orders,
        fills=fills,
        tickers=tickers,
        breaks=len(findings),
        asked_by=asked_by,
    )


@contextmanager
def _record_table() -> Iterator[Any]:
    """Yield a cursor with a table for the exchange's record, and with enough time to read it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        (default,) = cursor.fetchone()
        cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS_MAX}s'")
        cursor.execute("DROP TABLE IF EXISTS exchange_record")
        cursor.execute(RECORD_TABLE)
        try:
            with connection.answer_limit(STATEMENT_SECONDS_MAX):  # type: ignore[attr-defined] # of brokerage.database
                yield cursor
        finally:
            cursor.execute("DROP TABLE IF EXISTS exchange_record")
            cursor.execute(f"SET statement_timeout = '{default}'")


def _read(cursor: Any) -> int:
    """Fill the table and return how many orders the exchange has.

    Malformed rows are skipped, so the comparisons report their trades as missing.
    """
    orders, after = 0, 0
    while True:
        rows, following = gateway.history(after, PAGE)
        parsed = [_columns(row) for row in rows]
        valid = [columns for columns in parsed if columns]
        if valid:
            cursor.execute(INSERT, [list(column) for column in zip(*valid, strict=True)])
        orders += len(rows)
        if following is None:
            cursor.execute("CREATE UNIQUE INDEX ON exchange_record (trade_id)")
            cursor.execute("ANALYZE exchange_record")
            return orders
        after = following


def _columns(row: dict[str, Any]) -> tuple[Any, ...] | None:
    try:
        report = Report.parse(row)
    except Malformed as error:
        log.error("a row of the exchange's record is malformed", error=str(error))
        return None
    fill = report.fill
    return (
        report.trade_id,
        report.status,
        report.ticker,
        report.type,
        report.quantity,
        fill.price if fill else None,
        fill.amount if fill else None,
        _parse_time(row.get("executedAt")),
    )


def _parse_time(text: Any) -> datetime | None:
    """Return the time in an untrusted text; None if it is not a time with a time zone."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _trades_that_differ(cursor: Any) -> Iterator[Finding]:
    cursor.execute(DIFFER, [IN_FLIGHT_SECONDS, FINDINGS_MAX])
    for trade_id, customer_id, our_status, their_status in cursor.fetchall():
        if _still_differs(trade_id):
            detail = f"here: {our_status}; at the exchange: {their_status}"
            yield Finding(Kind.DIFFERS, f"trade {trade_id}", detail, customer_id, trade_id)


def _still_differs(trade_id: UUID) -> bool:
    """Read the trade again, here and at the exchange; return whether the two still differ."""
    try:
        answer = gateway.ask(trade_id)
        report = Report.parse(answer) if answer else None
    except (Unknown, Malformed):
        return True
    trade = Trade.objects.get(id=trade_id)
    if report is None or (report.ticker, report.type, report.quantity) != (trade.ticker, trade.type, trade.quantity):
        return True
    if report.status == "ACCEPTED":
        return trade.status != Status.IN_PROGRESS
    if trade.status == Status.FILLED and report.fill:
        return (trade.price, trade.amount) != (report.fill.price, report.fill.amount)
    return trade.status != report.status


def _unknown_there(cursor: Any) -> Iterator[Finding]:
    cursor.execute(UNKNOWN_THERE, [FINDINGS_MAX])
    for trade_id, customer_id, status in cursor.fetchall():
        try:
            known = gateway.ask(trade_id) is not None
        except Unknown:
            known = False
        if not known:
            detail = f"The trade is {status} here, but the exchange has no record of it."
            yield Finding(Kind.UNKNOWN_THERE, f"trade {trade_id}", detail, customer_id, trade_id)


def _unknown_here(cursor: Any) -> Iterator[Finding]:
    cursor.execute(UNKNOWN_HERE, [FINDINGS_MAX])
    for trade_id, status, type, quantity, ticker in cursor.fetchall():
        detail = f"The exchange has {type} {quantity} {ticker} as {status}, but there is no such trade here."
        yield Finding(Kind.UNKNOWN_HERE, f"trade {trade_id}", detail, None, trade_id)


def _totals_that_differ(cursor: Any) -> tuple[list[Finding], int]:
    """Compare the shares and cash that fills moved with those that were posted, stock by stock; count the stocks."""
    cursor.execute(TOTALS)
    rows = cursor.fetchall()
    findings = [
        Finding(
            Kind.POSTINGS_DIFFER,
            f"stock {ticker}",
            f"The exchange's fills moved {their_shares} shares and {their_cash} USD, but our postings moved "
            f"{our_shares} shares and {our_cash} USD.",
        )
        for ticker, their_shares, their_cash, our_shares, our_cash in rows
        if (their_shares, their_cash) != (our_shares, our_cash)
    ]
    return findings[:FINDINGS_MAX], len(rows)


def _clearing_that_differs(cursor: Any) -> Iterator[Finding]:
    """Compare, by settlement date, the cash that the exchange's fills moved with the firm's clearing account."""
    cursor.execute(CLEARING, [FINDINGS_MAX])
    for settles_on, their_change, our_change in cursor.fetchall():
        yield Finding(
            Kind.POSTINGS_DIFFER,
            f"clearing {settles_on}",
            f"The exchange's fills that settle on {settles_on} moved {their_change} USD, but our clearing account has "
            f"{our_change} USD.",
        )


RECORD_TABLE = """
    CREATE TEMPORARY TABLE exchange_record (
        trade_id uuid, status text, ticker text, type text, quantity bigint, price numeric, amount numeric,
        executed_at timestamptz)
"""
INSERT = """
    INSERT INTO exchange_record
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::numeric[], %s::numeric[],
                         %s::timestamptz[])
"""
# A trade that has ended at the exchange but not here is a difference only after IN_FLIGHT_SECONDS, because the callback
# or the sweep may still be on its way.
DIFFER = """
    SELECT t.id, t.customer_id,
           concat_ws(' ', t.status, t.type, t.quantity, t.ticker, 'at ' || t.price, 'for ' || t.amount),
           concat_ws(' ', r.status, r.type, r.quantity, r.ticker, 'at ' || r.price, 'for ' || r.amount)
    FROM exchange_record AS r JOIN trades_trade AS t ON t.id = r.trade_id
    WHERE (t.ticker, t.type, t.quantity) IS DISTINCT FROM (r.ticker, r.type, r.quantity)
       OR (r.status IN ('FILLED', 'REJECTED') AND t.status IN ('FILLED', 'REJECTED')
           AND (t.status, t.price, t.amount) IS DISTINCT FROM (r.status, r.price, r.amount))
       OR (r.status = 'ACCEPTED' AND t.status <> 'IN PROGRESS')
       OR (r.status IN ('FILLED', 'REJECTED') AND t.status NOT IN ('FILLED', 'REJECTED')
           AND coalesce(t.claimed_at, t.placed_at) < now() - make_interval(secs => %s))
    ORDER BY EXISTS (SELECT FROM office_case AS c WHERE c.kind = 'differs' AND c.key = 'trade ' || t.id
                     AND c.closed_at IS NULL), t.id DESC
    LIMIT %s
"""
UNKNOWN_THERE = """
    SELECT t.id, t.customer_id, t.status FROM trades_trade AS t
    WHERE t.status = 'FILLED' AND NOT EXISTS (SELECT FROM exchange_record AS r WHERE r.trade_id = t.id)
    ORDER BY EXISTS (SELECT FROM office_case AS c WHERE c.kind = 'unknown_there' AND c.key = 'trade ' || t.id
                     AND c.closed_at IS NULL), t.id DESC
    LIMIT %s
"""
UNKNOWN_HERE = """
    SELECT r.trade_id, r.status, r.type, r.quantity, r.ticker FROM exchange_record AS r
    WHERE NOT EXISTS (SELECT FROM trades_trade AS t WHERE t.id = r.trade_id)
    ORDER BY EXISTS (SELECT FROM office_case AS c WHERE c.kind = 'unknown_here' AND c.key = 'trade ' || r.trade_id
                     AND c.closed_at IS NULL), r.trade_id DESC
    LIMIT %s
"""
# The postings of a trade are written in one transaction, so either all of them exist or none. Trades that settled after
# the record was read are excluded: a posting counts only if its fill is in the record, and a fill only once settled.
TOTALS = """
    WITH theirs AS (
        SELECT r.ticker, sum(CASE r.type WHEN 'BUY' THEN r.quantity ELSE -r.quantity END) AS shares,
               sum(CASE r.type WHEN 'BUY' THEN -r.amount ELSE r.amount END) AS cash
        FROM exchange_record AS r JOIN trades_trade AS t ON t.id = r.trade_id AND t.status = 'FILLED'
        WHERE r.status = 'FILLED' GROUP BY r.ticker
    ), ours AS (
        SELECT t.ticker, coalesce(sum(p.change) FILTER (WHERE p.ticker <> ''), 0) AS shares,
               coalesce(sum(p.change) FILTER (WHERE p.ticker = '' AND p.kind <> 'fee'), 0) AS cash
        FROM trades_trade AS t JOIN accounts_posting AS p ON p.cause = t.id
        WHERE EXISTS (SELECT FROM exchange_record AS r WHERE r.trade_id = t.id AND r.status = 'FILLED')
           OR NOT EXISTS (SELECT FROM exchange_record AS r WHERE r.trade_id = t.id)
              AND p.created_at < (SELECT max(executed_at) FROM exchange_record)
        GROUP BY t.ticker
    )
    SELECT ticker, coalesce(theirs.shares, 0), coalesce(theirs.cash, 0), coalesce(ours.shares, 0),
           coalesce(ours.cash, 0)
    FROM theirs FULL JOIN ours USING (ticker) ORDER BY ticker
"""
CLEARING = """
    WITH filled AS (
        SELECT t.id, t.settles_on, CASE r.type WHEN 'BUY' THEN -r.amount ELSE r.amount END AS cash
        FROM exchange_record AS r JOIN trades_trade AS t ON t.id = r.trade_id AND t.status = 'FILLED'
        WHERE r.status = 'FILLED' AND t.settles_on IS NOT NULL
    ), theirs AS (
        SELECT settles_on, sum(cash) AS cash FROM filled GROUP BY settles_on
    ), ours AS (
        SELECT p.settles_on, sum(p.change) AS cash
        FROM filled JOIN accounts_posting AS p ON p.cause = filled.id AND p.ticker = '' AND p.kind IN ('buy', 'sell')
        GROUP BY p.settles_on
    )
    SELECT settles_on, coalesce(theirs.cash, 0), coalesce(ours.cash, 0)
    FROM theirs FULL JOIN ours USING (settles_on) WHERE theirs.cash IS DISTINCT FROM ours.cash
    ORDER BY settles_on LIMIT %s
"""
