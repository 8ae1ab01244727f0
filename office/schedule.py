"""Jobs that the sweep runs for the back office, such as proving the books and reconciling.

The first sweep that finds a job due runs it, and no other does. Requesting a job makes it due now.
"""

from collections.abc import Callable

import structlog
from django.db import connection
from django.db.models.functions import Now

from accounts import mail, notice_mail
from exchange.messages import Unknown
from office import cases, daily_report, proofs
from office.models import Job
from office.reconcile import reconcile
from office.retention import delete_old
from trades.trial_balance import store_day_totals
from webhooks import delivery

PROVE, RECONCILE, FORGET, REPORT = "prove", "reconcile", "forget", "report"
KEEP, BRING_FORWARD = "keep", "bring_forward"
EVERY_SECONDS = {BRING_FORWARD: 30, PROVE: 600, RECONCILE: 24 * 3600, FORGET: 3600, REPORT: 600, KEEP: 600}
# A proof of changes that takes longer is followed by a longer pause, so that such proofs occupy a tenth of a processor
# at most; but one begins each hour. Three quarters of the time that it takes are rests.
SELDOM_SECONDS = {PROVE: 3600}
PAUSES = 1.5  # times as long as it took
RETRY_SECONDS = 300  # after a failure

log = structlog.get_logger()


def find_cases() -> None:
    """Open exceptions for reports that need review, failed webhooks, overdue trades, and a short list of stocks."""
    cases.find_in_reports()
    cases.find_in_webhooks()
    cases.find_short_list()
    cases.find_overdue()


def request_job(job: str, asked_by: str) -> None:
    """Make a job due now. Idempotent until a sweep has started it."""
    Job.objects.update_or_create(name=job, defaults={"due_at": Now(), "asked_by": asked_by})


def run_jobs() -> None:
    """Run the jobs that are due. Two sweeps never run the same job at the same time."""
    for job in _due_jobs():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO office_job (name, asked_by, failure) VALUES (%s, '', '') ON CONFLICT DO NOTHING", [job]
            )
            cursor.execute(START, {"every": EVERY_SECONDS[job], "latest": _latest_seconds(job), "job": job})
            started = cursor.fetchone()
        if started is None:
            continue
        failure = ""
        try:
            WORK[job](started[0] or "")
        except Exception as error:  # noqa: BLE001 — the desk shows the error, and the job is retried
            failure = str(error)[:500] or repr(error)
            log.warning("a job failed", job=job, error=repr(error), known=isinstance(error, Unknown))
            connection.close()
        with connection.cursor() as cursor:
            cursor.execute(
                FINISH,
                {
                    "failure": failure, "retry": RETRY_SECONDS, "pauses": PAUSES, "seldom": SELDOM_SECONDS.get(job, 0),
                    "job": job,
                },
            )  # fmt: skip


def _due_jobs() -> list[str]:
    """Return the jobs that seem due, in one statement; another sweep may start them first."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, [list(EVERY_SECONDS), [_latest_seconds(job) for job in EVERY_SECONDS]])
        return [name for (name,) in cursor.fetchall()]


def _latest_seconds(job: str) -> int:
    """Return the seconds from now until a job is due, at most."""
    return max(EVERY_SECONDS[job], SELDOM_SECONDS.get(job, 0))


def _prove(asked_by: str) -> None:
    """Prove everything if somebody requested it or the last full proof is old, otherwise what has changed, gently.

    A full proof doesn't rest: all tables keep what is deleted or replaced until it ends, and that slows everybody down.
    """
    only_changes = not asked_by and not proofs.full_one_is_due()
    proofs.prove(asked_by, only_changes, proofs.GENTLE if only_changes else 0.0)


def _delete_old(asked_by: str) -> None:
    delete_old()


def _send_report(asked_by: str) -> None:
    daily_report.send_due()


def _keep_days(asked_by: str) -> None:
    store_day_totals()


def _bring_forward(asked_by: str) -> None:
    """Make jobs due that would wait too long because the database's clock was set back, for example by a failover."""
    delivery.bring_forward()
    notice_mail.bring_forward()
    mail.bring_forward()


WORK: dict[str, Callable[[str], object]] = {
    PROVE: _prove,
    RECONCILE: reconcile,
    FORGET: _delete_old,
    REPORT: _send_report,
    KEEP: _keep_days,
    BRING_FORWARD: _bring_forward,
}
# If a job is due later than its longest interval from now, the clock was set back since; it is run now.
DUE = """
    SELECT known.name FROM unnest(%s::text[], %s::int[]) WITH ORDINALITY AS known (name, latest, place)
    LEFT JOIN office_job AS job ON job.name = known.name
    WHERE job.name IS NULL OR job.due_at <= now() OR job.due_at > now() + make_interval(secs => known.latest + 5)
    ORDER BY known.place
"""
START = """
    UPDATE office_job AS d
    SET due_at = now() + make_interval(secs => %(every)s), began_at = now(), ended_at = NULL, asked_by = '',
        failure = ''
    FROM (
        SELECT name, asked_by FROM office_job
        WHERE name = %(job)s AND (due_at <= now() OR due_at > now() + make_interval(secs => %(latest)s + 5))
        FOR UPDATE SKIP LOCKED
    ) AS was
    WHERE d.name = was.name RETURNING was.asked_by
"""
# Somebody may have requested the job again meanwhile; then it stays due.
FINISH = """
    UPDATE office_job SET ended_at = now(), failure = %(failure)s::text,
           due_at = CASE WHEN %(failure)s::text <> '' THEN least(due_at, now() + make_interval(secs => %(retry)s))
                         WHEN asked_by <> '' THEN due_at
                         ELSE greatest(due_at, least(now() + %(pauses)s * (now() - began_at),
                                                     began_at + make_interval(secs => %(seldom)s))) END
    WHERE name = %(job)s
"""
