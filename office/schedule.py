"""What the sweep does for the back office: finds exceptions in reports, proves the books, reconciles, forgets.

A job is done by whichever sweep comes first when it is due, and by no other; asking for one makes it due now.
"""

import time
from collections.abc import Callable

import structlog
from django.db import connection
from django.db.models.functions import Now

from exchange.messages import Unknown
from office import cases
from office.cases import Finding, Kind
from office.models import Job, Proof
from office.reconcile import reconcile
from office.retention import forget
from trades.audit import audit_books

PROVE, RECONCILE, FORGET = "prove", "reconcile", "forget"
EVERY_SECONDS = {PROVE: 3600, RECONCILE: 24 * 3600, FORGET: 3600}
RETRY_SECONDS = 300  # after one that failed
VIOLATIONS_KEPT_MAX = 100

log = structlog.get_logger()


def find_cases() -> None:
    """Open an exception for each report that needs a person, and each webhook that gave up. Again: none."""
    cases.find_in_reports()
    cases.find_in_webhooks()


def request_job(job: str, asked_by: str) -> None:
    """Have a job done as soon as a sweep comes by. Again, before one came: once."""
    Job.objects.update_or_create(name=job, defaults={"due_at": Now(), "asked_by": asked_by})


def run_jobs() -> None:
    """Do the jobs that are due. Two sweeps never do the same one."""
    for job, every_seconds in EVERY_SECONDS.items():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO office_job (name, asked_by, failure) VALUES (%s, '', '') ON CONFLICT DO NOTHING", [job]
            )
            cursor.execute(TAKE, [every_seconds, job])
            taken = cursor.fetchone()
        if taken is None:
            continue
        failure = ""
        try:
            WORK[job](taken[0] or "")
        except Exception as error:  # noqa: BLE001 — whatever it is, it is shown at the desk and tried again
            failure = str(error)[:500] or repr(error)
            log.warning("a job failed", job=job, error=repr(error), known=isinstance(error, Unknown))
            connection.close()
        with connection.cursor() as cursor:
            cursor.execute(DONE, [failure, failure, RETRY_SECONDS, job])


def prove(asked_by: str = "") -> Proof:
    """Prove the books, and open an exception for each violation. Again: proves anew."""
    began = time.monotonic()
    audit = audit_books()
    found = audit.findings
    count = sum(found.counts.values())
    proof = Proof.objects.create(
        took_ms=int((time.monotonic() - began) * 1000),
        ok=count == 0,
        customers=audit.customers,
        trades=audit.trades,
        postings=audit.postings,
        violations_count=count,
        violations=[{k: str(v) for k, v in row.items()} for row in found.violations[:VIOLATIONS_KEPT_MAX]],
        asked_by=asked_by,
    )
    cases.note(
        Finding(
            Kind.BOOKS,
            " ".join(
                str(row[name])
                for name in ("rule", "customerId", "tradeId", "postingId", "stockTicker")
                if row.get(name)
            ),
            f"{row['rule']}: {row.get('detail', '')}",
            row.get("customerId"),
            row.get("tradeId"),
        )
        for row in found.violations
    )
    return proof


def _forget(asked_by: str) -> None:
    forget()


WORK: dict[str, Callable[[str], object]] = {PROVE: prove, RECONCILE: reconcile, FORGET: _forget}
TAKE = """
    UPDATE office_job AS d
    SET due_at = now() + make_interval(secs => %s), began_at = now(), ended_at = NULL, asked_by = '', failure = ''
    FROM (SELECT name, asked_by FROM office_job WHERE name = %s AND due_at <= now() FOR UPDATE SKIP LOCKED) AS was
    WHERE d.name = was.name RETURNING was.asked_by
"""
DONE = """
    UPDATE office_job SET ended_at = now(), failure = %s,
           due_at = CASE WHEN %s = '' THEN due_at ELSE least(due_at, now() + make_interval(secs => %s)) END
    WHERE name = %s
"""
