"""Reports: store what the exchange said, as it came, and ring."""

from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction

from exchange.messages import canonical
from trades.lane import ring_on_commit
from trades.models import Report

log = structlog.get_logger()


def store_reports(bodies: list[dict[str, Any]], source: Report.Source) -> None:
    """Store these reports and ring their customers' lanes. They are durable when this returns.

    Nothing is judged here; the turn that follows does that. A report about no trade of ours, or one that cannot be
    read, is stored too, for the back office.

    Idempotent: yes. A report that was stored before is not stored again.
    """
    if not bodies:
        return
    texts = [canonical(body) for body in bodies]
    trade_ids = [_trade_id(body) for body in bodies]
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            STORE_REPORTS,
            [
                source,
                trade_ids,
                [sha256(text.encode()).digest() for text in texts],
                texts,
            ],
        )
        customer_ids = {customer_id for (customer_id,) in cursor.fetchall()}
        if None in customer_ids:
            log.error("report about a trade that we do not have; stored for the back office", source=source)
        ring_on_commit(customer_ids - {None})
    log.info("reported", trades=list(map(str, trade_ids)), source=str(source))


def _trade_id(body: dict[str, Any]) -> UUID | None:
    try:
        return UUID(body["tradeId"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


# In a fixed order, whatever the order in which they came: two sets with the same reports wait for each other, and would
# deadlock otherwise. Reports on one trade keep their order.
STORE_REPORTS = """
    INSERT INTO trades_report (source, trade_id, customer_id, digest, body, outcome, reason)
    SELECT %s, new.trade_id, t.customer_id, new.digest, new.body,
           CASE WHEN t.id IS NULL THEN 'unknown_trade' ELSE 'waiting' END, ''
    FROM unnest(%s::uuid[], %s::bytea[], %s::text[]) WITH ORDINALITY AS new (trade_id, digest, body, place)
    LEFT JOIN trades_trade AS t ON t.id = new.trade_id
    ORDER BY new.trade_id, new.place
    ON CONFLICT (digest) DO NOTHING
    RETURNING customer_id
"""
