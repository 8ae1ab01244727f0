"""Exceptions: what needs a person. Found by the sweep, owned and closed by staff."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.models import Customer
from exchange.messages import storable
from office.models import Case

Kind = Case.Kind

# What to do about each kind, as staff reads it.
WHAT_TO_DO: dict[str, str] = {
    Kind.CONTRADICTS: "Ask the exchange now. If it stands by the report, settle the difference with the exchange by "
    "phone, then with the customer by an adjustment. The trade itself stays as it ended.",
    Kind.BREAKS_TERMS: "Compare the report with the trade's terms. Ask the exchange now; if it repeats the report, "
    "have it corrected by the exchange. The trade stays IN PROGRESS, and its hold stays, until a report that keeps to "
    "the terms comes.",
    Kind.MALFORMED: "Send the report to the exchange as it is below, and ask now: a good report settles the trade.",
    Kind.UNKNOWN_HERE: "Find out from the exchange who sent it. If it was us, the database may have lost what it had "
    "committed: stop trading and look at the replicas first.",
    Kind.UNKNOWN_THERE: "Ask the exchange now. A fill that it does not know must be cleared up with it before money "
    "moves; until then freeze the customer's withdrawals.",
    Kind.DIFFERS: "Ask the exchange now, and compare its answer with the trade's postings. Correct by an adjustment.",
    Kind.POSTINGS_DIFFER: "Find the trades of this stock that differ (other exceptions name them); what is left over "
    "was posted without a fill: have the books proven.",
    Kind.BOOKS: "Halt trading if it spreads. See the proof for the rule that is broken, and the customer's postings. "
    "Books are never edited: correct by an adjustment, once the cause is known.",
    Kind.WEBHOOK: "Tell the customer; their endpoint has not answered for hours. What was given up is in the feed of "
    "events, which they can read.",
}
# What is a fact about the past, and can't come true again after a person dealt with it.
ONCE = [Kind.CONTRADICTS, Kind.BREAKS_TERMS, Kind.MALFORMED, Kind.WEBHOOK]


class NoReason(Exception):
    """Who closes an exception says how it was resolved."""


class ClosedAlready(Exception):
    """The exception was closed before."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs a person."""

    kind: Case.Kind
    key: str
    detail: str
    customer_id: int | None = None
    trade_id: UUID | None = None
    report_id: int | None = None


def note(findings: Iterable[Finding]) -> int:
    """Open an exception for each of these; how many were opened. Again: none, but closed ones that are true again."""
    opened = 0
    with transaction.atomic(), connection.cursor() as cursor:
        for finding in findings:
            cursor.execute(
                NOTE,
                {
                    "kind": finding.kind,
                    "key": storable(finding.key, 200),
                    "detail": storable(finding.detail, 1000),
                    "customer": finding.customer_id,
                    "trade": finding.trade_id,
                    "report": finding.report_id,
                    "once": [str(kind) for kind in ONCE],
                },
            )
            opened += bool(cursor.fetchone()[0])
    return opened


def find_in_reports() -> int:
    """Open an exception for each report that a person must look at; how many. Again: none."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_IN_REPORTS)
        return cursor.rowcount


def find_in_webhooks() -> int:
    """Open an exception for each webhook and day of which deliveries were given up; how many. Again: none."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_IN_WEBHOOKS)
        return cursor.rowcount


def take(case_id: int, owner: Customer | None) -> None:
    """Give an exception an owner, or none. Again: the same. Raises ClosedAlready."""
    if not Case.objects.filter(id=case_id, closed_at=None).update(owner=owner):
        raise ClosedAlready


def close(case_id: int, by: Customer, resolution: str) -> None:
    """Close an exception, saying how it was resolved. Again: ClosedAlready. Raises NoReason."""
    if not resolution.strip():
        raise NoReason
    closed = Case.objects.filter(id=case_id, closed_at=None)
    if not closed.update(closed_at=Now(), closed_by=by, resolution=storable(resolution, 500)):
        raise ClosedAlready


NOTE = """
    INSERT INTO office_case AS c (kind, key, detail, customer_id, trade_id, report_id, resolution)
    VALUES (%(kind)s, %(key)s, %(detail)s, %(customer)s, %(trade)s, %(report)s, '')
    ON CONFLICT (kind, key) DO UPDATE SET
        seen_at = statement_timestamp(), detail = excluded.detail,
        found_at = CASE WHEN c.closed_at IS NULL OR c.kind = ANY(%(once)s) THEN c.found_at
                        ELSE statement_timestamp() END,
        resolution = CASE WHEN c.closed_at IS NULL OR c.kind = ANY(%(once)s) THEN c.resolution ELSE '' END,
        closed_by_id = CASE WHEN c.kind = ANY(%(once)s) THEN c.closed_by_id END,
        closed_at = CASE WHEN c.kind = ANY(%(once)s) THEN c.closed_at END
    RETURNING found_at = seen_at
"""
# Reports stay, and so do cases: what has a case never gets another one. Served by reports_for_a_person.
FIND_IN_REPORTS = """
    INSERT INTO office_case (kind, key, detail, customer_id, trade_id, report_id, resolution)
    SELECT CASE r.outcome WHEN 'unknown_trade' THEN 'unknown_here' ELSE r.outcome END, 'report ' || r.id,
           CASE r.outcome
               WHEN 'contradicts' THEN concat_ws(' ', 'The trade had ended', t.status, 'at ' || t.price,
                   'when the report said', r.body::jsonb->>'status', 'at ' || (r.body::jsonb->>'price'))
               ELSE left(coalesce(nullif(r.reason, ''), r.body), 500) END, r.customer_id, r.trade_id, r.id, ''
    FROM trades_report AS r LEFT JOIN trades_trade AS t ON t.id = r.trade_id
    WHERE r.outcome IN ('breaks_terms', 'contradicts', 'malformed', 'unknown_trade')
      AND NOT EXISTS (SELECT FROM office_case AS c WHERE c.key = 'report ' || r.id AND c.kind =
          CASE r.outcome WHEN 'unknown_trade' THEN 'unknown_here' ELSE r.outcome END)
    ORDER BY r.id LIMIT 500
    ON CONFLICT (kind, key) DO NOTHING
"""
FIND_IN_WEBHOOKS = """
    INSERT INTO office_case (kind, key, detail, customer_id, resolution)
    SELECT 'webhook', found.key, left(found.url || ' was given up; last it answered: ' || found.answer, 1000),
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
