"""Report: store the exchange's reports as they were received, and ring."""

from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from django.db import connection

from exchange.messages import canonical
from trades.lane import ring_on_commit
from trades.models import Report

log = structlog.get_logger()


def store_reports(bodies: list[dict[str, Any]], source: Report.Source) -> None:
    """Store these reports and ring their customers' lanes. They are durable when this returns.

    The next turn judges them. Reports about unknown trades and malformed reports are stored too, for the back office.

    Idempotent: yes. A report is stored once. However, if it is in review and its trade is still in flight, it waits for
    a turn again, because it may be possible to settle it now.
    """
    if bodies:
        insert_reports(bodies, source)  # one statement needs no BEGIN and COMMIT, which would double the cost
        log.info("reported", trades=[str(_trade_id(body)) for body in bodies], source=str(source))


def insert_reports(bodies: list[dict[str, Any]], source: Report.Source) -> None:
    """Do what `store_reports` does, within the caller's transaction."""
    by_text = {canonical(body): _trade_id(body) for body in bodies}
    with connection.cursor() as cursor:
        cursor.execute(
            STORE_REPORTS,
            [
                str(source),
                list(by_text.values()),
                [sha256(text.encode()).digest() for text in by_text],
                list(by_text),
            ],
        )
        customer_ids = {customer_id for (customer_id,) in cursor.fetchall()}
    if None in customer_ids:
        log.error("report about a trade that we do not have; stored for the back office", source=source)
    ring_on_commit(customer_ids - {None})


def _trade_id(body: dict[str, Any]) -> UUID | None:
    try:
        return UUID(body["tradeId"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


# Rows are inserted in a fixed order, because two sets with the same reports would otherwise deadlock. Reports about one
# trade keep the order in which they arrived.
STORE_REPORTS = """
    INSERT INTO trades_report (source, trade_id, customer_id, digest, body, outcome, reason)
    SELECT %s, new.trade_id, t.customer_id, new.digest, new.body,
           CASE WHEN t.id IS NULL THEN 'unknown_trade' ELSE 'waiting' END, ''
    FROM unnest(%s::uuid[], %s::bytea[], %s::text[]) WITH ORDINALITY AS new (trade_id, digest, body, place)
    LEFT JOIN trades_trade AS t ON t.id = new.trade_id
    ORDER BY new.trade_id, new.place
    ON CONFLICT (digest) DO UPDATE SET outcome = 'waiting', reason = '', handled_at = NULL
    WHERE trades_report.outcome IN ('breaks_terms', 'malformed') AND EXISTS (
        SELECT FROM trades_trade AS open WHERE open.id = trades_report.trade_id AND open.status = 'IN PROGRESS')
    RETURNING customer_id
"""
