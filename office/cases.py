"""Exceptions: what needs manual review. The sweep finds them; staff own them and close them.

In code an exception is a `Case`, because Python has exceptions of its own.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from accounts.models import Customer
from exchange.market import short_list
from exchange.messages import storable
from office.models import Case
from trades.review import OVERDUE_SECONDS

Kind = Case.Kind
REPORTS_PER_BATCH = 500

# Instructions for staff, by kind.
INSTRUCTIONS: dict[str, str] = {
    Kind.CONTRADICTS: "Ask the exchange now. If it stands by the report, settle the difference with the exchange by "
    "phone, then settle it with the customer by an adjustment. The trade itself stays as it ended.",
    Kind.BREAKS_TERMS: "Compare the report with the terms of the trade and ask the exchange now. If it repeats the "
    "report, have the exchange correct it. The trade stays IN PROGRESS and keeps its hold until the exchange sends a "
    "report that matches the terms.",
    Kind.MALFORMED: "Send the report below to the exchange as it is, and ask the exchange now. A valid report settles "
    "the trade.",
    Kind.UNKNOWN_HERE: "Ask the exchange who sent this trade. If it was us, the database may have lost "
    "committed data: halt trading and check the replicas first.",
    Kind.UNKNOWN_THERE: "Ask the exchange now. Clear up with the exchange any fill that it does not know before money "
    "moves. Until then, freeze the customer's withdrawals.",
    Kind.DIFFERS: "Ask the exchange now and compare its answer with the postings of the trade. Correct our side by an "
    "adjustment.",
    Kind.POSTINGS_DIFFER: "Find the trades of this stock that differ; other exceptions name them. Whatever remains was "
    "posted without a fill, so prove the books.",
    Kind.BOOKS: "Halt trading if it spreads. Look at the proof for the rule that is broken, and at the customer's "
    "postings. The books are never edited: correct them by an adjustment once you know the cause.",
    Kind.WEBHOOK: "Tell the customer that their endpoint has not answered for hours. The events that were given up are "
    "still in the customer's event feed.",
    Kind.OVERDUE: "Ask the exchange now. If it says nothing that settles the trade, get its word by phone and enter "
    "how the trade ended; a second member of staff approves it. A report that needs review can be judged again.",
    Kind.SHORT_LIST: "Ask the exchange whether these stocks are really gone. Until somebody accepts the list, they "
    "stay listed. If they are gone, accept the list; they are delisted once they have stayed away.",
}
# When an exception is due, in hours after it was found, by kind.
DUE_HOURS: dict[str, int] = {
    Kind.BREAKS_TERMS: 1,
    Kind.OVERDUE: 1,
    Kind.MALFORMED: 1,
    Kind.BOOKS: 1,
    Kind.SHORT_LIST: 1,
    Kind.CONTRADICTS: 4,
    Kind.UNKNOWN_THERE: 4,
    Kind.DIFFERS: 4,
    Kind.UNKNOWN_HERE: 4,
    Kind.POSTINGS_DIFFER: 8,
    Kind.WEBHOOK: 24,
}
# Kinds that are facts about the past. Once closed, such an exception never opens again.
PERMANENT = [Kind.CONTRADICTS, Kind.BREAKS_TERMS, Kind.MALFORMED, Kind.WEBHOOK]


class ResolutionMissing(Exception):
    """An exception can only be closed with a resolution."""


class AlreadyClosed(Exception):
    """The exception is already closed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs manual review. `kind` and `key` identify it: equal findings are one exception."""

    kind: Case.Kind
    key: str
    detail: str
    customer_id: int | None = None
    trade_id: UUID | None = None
    report_id: int | None = None


def open_cases(findings: Iterable[Finding]) -> int:
    """Open an exception for each finding, and return how many were opened.

    Idempotent: an exception that is open stays as it is. One that was closed opens again, unless its kind is permanent.
    """
    distinct = {(finding.kind, storable(finding.key, 200)): finding for finding in findings}
    if not distinct:
        return 0
    columns: dict[str, Any] = {
        "kinds": [str(kind) for kind, _ in distinct],
        "keys": [key for _, key in distinct],
        "details": [storable(finding.detail, 1000) for finding in distinct.values()],
        "customers": [finding.customer_id for finding in distinct.values()],
        "trades": [finding.trade_id for finding in distinct.values()],
        "reports": [finding.report_id for finding in distinct.values()],
        "permanent": [str(kind) for kind in PERMANENT],
    }
    with connection.cursor() as cursor:
        cursor.execute(OPEN, columns)
        return sum(opened for (opened,) in cursor.fetchall())


def find_in_reports() -> int:
    """Open an exception for each report that needs manual review, and return how many were opened. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute(REPORTS_WITHOUT_CASE, [REPORTS_PER_BATCH])
        rows = cursor.fetchall()
    return open_cases(_findings(rows))


def find_in_webhooks() -> int:
    """Open an exception for each webhook and day with abandoned deliveries, and return how many. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_IN_WEBHOOKS)
        return int(cursor.rowcount)


def find_overdue() -> int:
    """Open an exception for each trade that has been IN PROGRESS for too long, and return how many. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_OVERDUE, [OVERDUE_SECONDS])
        return int(cursor.rowcount)


def find_short_list() -> int:
    """Open an exception if the exchange's list is rejected because it has shrunk. Idempotent."""
    rejected = short_list()
    if rejected is None:
        return 0
    missing = rejected.missing
    tickers = ", ".join(missing[:20]) + (" and more" if len(missing) > 20 else "")
    detail = f"{len(missing)} of {rejected.listed} listed stocks are missing from the exchange's list: {tickers}"
    return open_cases([Finding(Kind.SHORT_LIST, f"list {rejected.pk}", detail)])


def due_at(case: Case) -> datetime:
    """Return when an exception is due to be closed."""
    return case.found_at + timedelta(hours=DUE_HOURS[case.kind])


def assign(case_id: int, owner: Customer | None) -> None:
    """Set or remove the owner of an exception. Idempotent.

    Raises:
        AlreadyClosed: The exception is closed.
    """
    if not Case.objects.filter(id=case_id, closed_at=None).update(owner=owner):
        raise AlreadyClosed


def close_all(case_ids: Iterable[int], by: Customer, resolution: str) -> int:
    """Close those of these exceptions that are open, with the same resolution, and return how many. Idempotent.

    Raises:
        ResolutionMissing: `resolution` is empty.
    """
    if not resolution.strip():
        raise ResolutionMissing
    still_open = Case.objects.filter(id__in=list(case_ids), closed_at=None)
    return still_open.update(closed_at=Now(), closed_by=by, resolution=storable(resolution, 500))


def close(case_id: int, by: Customer, resolution: str) -> None:
    """Close an exception and record how it was resolved.

    Idempotent: no. A second call raises AlreadyClosed.

    Raises:
        ResolutionMissing: `resolution` is empty.
        AlreadyClosed: The exception is already closed.
    """
    if not close_all([case_id], by, resolution):
        raise AlreadyClosed


def _findings(rows: Iterable[tuple[Any, ...]]) -> Iterator[Finding]:
    for report_id, outcome, reason, body, customer_id, trade_id, status, price in rows:
        kind = Kind.UNKNOWN_HERE if outcome == "unknown_trade" else Kind(outcome)
        detail = reason or body[:500]
        if kind == Kind.CONTRADICTS:
            detail = f"The trade had ended {_ending(status, price)} when the report said {_ending_in_body(body)}"
        yield Finding(kind, f"report {report_id}", detail, customer_id, trade_id, report_id)


def _ending_in_body(body: str) -> str:
    """Return how the trade ended according to a report, which may contain anything."""
    try:
        report = json.loads(body)
    except (ValueError, RecursionError):
        report = None
    return _ending(report.get("status"), report.get("price")) if isinstance(report, dict) else body[:200]


def _ending(status: Any, price: Any) -> str:
    return f"{status}" if price is None else f"{status} at {price}"


OPEN = """
    INSERT INTO office_case AS c (kind, key, detail, customer_id, trade_id, report_id, resolution)
    SELECT *, '' FROM unnest(%(kinds)s::text[], %(keys)s::text[], %(details)s::text[], %(customers)s::bigint[],
                             %(trades)s::uuid[], %(reports)s::bigint[])
    ON CONFLICT (kind, key) DO UPDATE SET
        seen_at = statement_timestamp(), detail = excluded.detail,
        found_at = CASE WHEN c.closed_at IS NULL OR c.kind = ANY(%(permanent)s) THEN c.found_at
                        ELSE statement_timestamp() END,
        resolution = CASE WHEN c.closed_at IS NULL OR c.kind = ANY(%(permanent)s) THEN c.resolution ELSE '' END,
        closed_by_id = CASE WHEN c.kind = ANY(%(permanent)s) THEN c.closed_by_id END,
        closed_at = CASE WHEN c.kind = ANY(%(permanent)s) THEN c.closed_at END
    RETURNING found_at = seen_at
"""
# Reports and exceptions are never deleted, so a report never gets a second exception. Served by reports_for_a_person.
# The bodies are parsed in Python: with a cast, one malformed body would fail the statement for all other reports.
REPORTS_WITHOUT_CASE = """
    SELECT r.id, r.outcome, r.reason, r.body, r.customer_id, r.trade_id, t.status, t.price
    FROM trades_report AS r LEFT JOIN trades_trade AS t ON t.id = r.trade_id
    WHERE r.outcome IN ('breaks_terms', 'contradicts', 'malformed', 'unknown_trade')
      AND NOT EXISTS (SELECT FROM office_case AS c WHERE c.key = 'report ' || r.id AND c.kind =
          CASE r.outcome WHEN 'unknown_trade' THEN 'unknown_here' ELSE r.outcome END)
    ORDER BY r.id LIMIT %s
"""
FIND_OVERDUE = """
    INSERT INTO office_case (kind, key, detail, customer_id, trade_id, resolution)
    SELECT 'overdue', 'trade ' || t.id, concat_ws(' ', t.type, t.quantity, t.ticker, 'was sent to the exchange at',
           to_char(t.claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), 'UTC'), t.customer_id, t.id, ''
    FROM trades_trade AS t
    WHERE t.status = 'IN PROGRESS' AND t.claimed_at < statement_timestamp() - make_interval(secs => %s)
      AND NOT EXISTS (SELECT FROM office_case AS c WHERE c.kind = 'overdue' AND c.key = 'trade ' || t.id)
    ON CONFLICT (kind, key) DO NOTHING
"""
FIND_IN_WEBHOOKS = """
    INSERT INTO office_case (kind, key, detail, customer_id, resolution)
    SELECT 'webhook', found.key, left(found.url || ' was given up. Its last answer: ' || found.answer, 1000),
           found.customer_id, ''
    FROM (
        SELECT 'webhook ' || w.id || ' ' || (d.created_at AT TIME ZONE 'UTC')::date AS key, w.url, w.customer_id,
               max(d.answer) AS answer
        FROM webhooks_delivery AS d JOIN webhooks_webhook AS w ON w.id = d.webhook_id
        WHERE d.next_at IS NULL AND d.delivered_at IS NULL AND d.type <> 'webhook.test' AND w.status <> 'ended'
        GROUP BY 1, 2, 3
    ) AS found
    WHERE NOT EXISTS (SELECT FROM office_case AS c WHERE c.kind = 'webhook' AND c.key = found.key)
    ON CONFLICT (kind, key) DO NOTHING
"""
