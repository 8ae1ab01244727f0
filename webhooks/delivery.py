"""Post due deliveries to their receivers, signed as Standard Webhooks specifies.

The deliveries of one webhook are posted one after the other; webhooks do not wait for each other. A customer gets at
most WEBHOOKS_OF_A_CUSTOMER_MAX threads, so that hanging receivers don't block other customers. A failed delivery is
retried with growing pauses for a day. After a failure, the receiver is not called for a while; deliveries that wait for
it meanwhile lose no attempts. A receiver that has only failed for FAILING_AFTER_SECONDS becomes FAILING: its owner gets
a mail, and it is tried periodically until it works again.

A receiver recognizes duplicates by `webhook-id`, which is the event's id. Any number of processes may deliver.
"""

import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from web.encryption import Undecryptable, decrypt
from webhooks import mails
from webhooks.models import Delivery, Webhook
from webhooks.post import Answer, Receiver
from webhooks.subscriptions import EVENT_TEST, end

PAUSES_SECONDS = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)  # for each delivery: a day in total
RECEIVER_PAUSES_SECONDS = (1, 5, 30, 120, 600, 1_800, 3_600)  # after 1, 2, … failures in a row; then always the last
FAILING_AFTER_SECONDS, FAILING_AFTER_FAILURES = 3_600, 5
THREADS, WEBHOOKS_OF_A_CUSTOMER_MAX = 32, 2
DELIVERIES_A_BATCH_MAX, BATCH_SECONDS_MAX = 50, 5.0
LEASE_SECONDS = 60  # after that, another process takes over from one that died
WORK_SECONDS = 5.0
POLL_SECONDS = 0.25  # how often to look for newly due webhooks while others are in progress
HTTP_GONE = 410

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Outcome:
    delivery: Delivery
    answer: Answer


class Deliverer:
    """Posts in a pool of threads that share no state, and uses the database only in the thread that calls `work`."""

    def __init__(self, threads: int = THREADS) -> None:
        # A silent name server then blocks a thread for a few seconds, not for half a minute.
        os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "webhook")
        self._in_progress: dict[Future[list[_Outcome]], Webhook] = {}

    def work(self, seconds: float = WORK_SECONDS) -> int:
        """Deliver for this many seconds, or until nothing is due; return how many deliveries were attempted."""
        ends_at = time.monotonic() + seconds
        attempted = 0
        while True:
            attempted += self._finish()
            self._start()
            remaining_seconds = ends_at - time.monotonic()
            if not self._in_progress or remaining_seconds <= 0:
                return attempted
            wait(self._in_progress, min(remaining_seconds, POLL_SECONDS), FIRST_COMPLETED)

    def _start(self) -> None:
        free = self._threads - len(self._in_progress)
        if free <= 0:
            return
        with transaction.atomic(durable=True):  # if the deliveries can't be read, the webhooks aren't leased
            hooks = list(Webhook.objects.raw(CLAIM, _claim_parameters(free)))
            due = list(Delivery.objects.raw(DUE, [[hook.pk for hook in hooks], DELIVERIES_A_BATCH_MAX]))
        for hook in hooks:
            batch = [delivery for delivery in due if delivery.webhook_id == hook.pk]
            self._in_progress[self._pool.submit(_post_batch, hook, batch)] = hook

    def _finish(self) -> int:
        attempted = 0
        for future in [future for future in self._in_progress if future.done()]:
            try:
                outcomes = future.result()
            except Exception:
                del self._in_progress[future]
                raise
            # If this fails, the batch stays in progress and is recorded in the next round, so it isn't posted twice.
            _record(self._in_progress[future], outcomes)
            del self._in_progress[future]
            attempted += len(outcomes)
        return attempted


_deliverer: Deliverer | None = None


def deliver() -> int:
    """Deliver what is due, for a few seconds at most, and return how many deliveries were attempted.

    The sweep calls it periodically.
    """
    global _deliverer
    _deliverer = _deliverer or Deliverer()
    return _deliverer.work()


def bring_forward() -> None:
    """Make deliveries due that would wait longer than the longest pause, because the clock was set back. Idempotent."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(DELIVERIES_TOO_FAR_AHEAD, [list(map(float, PAUSES_SECONDS)), PAUSES_SECONDS[-1]])
        webhook_ids = [webhook_id for (webhook_id,) in cursor.fetchall()]
        longest = {"lease": LEASE_SECONDS + 1, "pause": RECEIVER_PAUSES_SECONDS[-1] + 1}
        cursor.execute(WEBHOOKS_TOO_FAR_AHEAD, longest | {"late": webhook_ids})


def _claim_parameters(free: int) -> dict[str, int]:
    return {"lease": LEASE_SECONDS, "of_a_customer": WEBHOOKS_OF_A_CUSTOMER_MAX, "free": free}


def _post_batch(hook: Webhook, due: list[Delivery]) -> list[_Outcome]:
    """Post deliveries of one webhook, one after the other, until one fails or the time is up."""
    ends_at = time.monotonic() + BATCH_SECONDS_MAX
    outcomes: list[_Outcome] = []
    try:
        signers = [Signer(secret) for secret in _secrets(hook)]
    except Undecryptable:
        log.error("webhook: the secret can't be decrypted; was SECRET_KEY replaced?", webhook=str(hook.id))
        return [
            _Outcome(delivery, Answer(None, "An error on our side. We are looking into it.")) for delivery in due[:1]
        ]
    with Receiver(hook.url) as receiver:
        for delivery in due:
            outcome = _Outcome(delivery, receiver.post(_headers(delivery, signers), delivery.body.encode()))
            outcomes.append(outcome)
            if not outcome.answer.is_success or time.monotonic() > ends_at:
                break
    return outcomes


def _secrets(hook: Webhook) -> list[str]:
    """Return the secrets that sign: the current one and, during the overlap, the previous one."""
    secrets = [hook.secret]
    if hook.previous_secret_until and hook.previous_secret_until > timezone.now():
        secrets.append(decrypt(hook.encrypted_previous_secret))
    return secrets


def _headers(delivery: Delivery, signers: list[Signer]) -> dict[str, str]:
    now = timezone.now()
    return {
        "Content-Type": "application/json",
        "User-Agent": "brokerage-webhooks/1",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signer.sign(delivery.event_id, now, delivery.body) for signer in signers),
    }


def _record(hook: Webhook, outcomes: list[_Outcome]) -> None:
    """Record the outcomes of a batch, and when the webhook is due next."""
    failed = next((outcome.answer for outcome in outcomes if not outcome.answer.is_success), None)
    failures = 0 if outcomes and failed is None else hook.failures
    if failed is not None:
        failures = 1 if len(outcomes) > 1 else hook.failures + 1
    pause = RECEIVER_PAUSES_SECONDS[min(failures, len(RECEIVER_PAUSES_SECONDS)) - 1] if failed else None
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(LOCK, [hook.pk])
        cursor.execute(RECORD_ATTEMPTS, _attempt_parameters(outcomes))
        cursor.execute(
            RELEASE,
            {
                "id": hook.pk,
                "pause": pause,
                "failures": failures,
                "failing_after": FAILING_AFTER_SECONDS,
                "failing_from": FAILING_AFTER_FAILURES,
                "answer": failed.text if failed else "",
            },
        )
        row = cursor.fetchone()
    if failed is not None and failed.status == HTTP_GONE:
        end(hook, "Your server answered 410 Gone.")
    elif row and row[0] != hook.status and row[0] == Webhook.Status.FAILING:
        mails.mail_failing(hook, failed.text if failed else "")
    elif row and row[0] != hook.status and row[0] == Webhook.Status.ACTIVE:
        mails.mail_working(hook)


def _attempt_parameters(outcomes: list[_Outcome]) -> list[list[Any]]:
    return [
        [outcome.delivery.pk for outcome in outcomes],
        [outcome.delivery.attempts for outcome in outcomes],
        [outcome.answer.text for outcome in outcomes],
        [outcome.answer.is_success for outcome in outcomes],
        [_pause_after(outcome) for outcome in outcomes],
    ]


def _pause_after(outcome: _Outcome) -> float | None:
    """Return in how many seconds a delivery is tried again; None if it is not."""
    delivery = outcome.delivery
    gives_up = delivery.type == EVENT_TEST or delivery.attempts >= len(PAUSES_SECONDS)
    return None if outcome.answer.is_success or gives_up else float(PAUSES_SECONDS[delivery.attempts])


# The webhook that has been due longest comes first; a customer gets no more than its share, over all processes.
CLAIM = """
    UPDATE webhooks_webhook SET leased_until = statement_timestamp() + make_interval(secs => %(lease)s)
    WHERE id IN (
        SELECT w.id FROM webhooks_webhook AS w JOIN (
            SELECT due.id, due.due_at, due.customer_id,
                   row_number() OVER (PARTITION BY due.customer_id ORDER BY due.due_at, due.id) AS place
            FROM webhooks_webhook AS due
            JOIN accounts_customer AS customer ON customer.id = due.customer_id AND customer.is_active
            LEFT JOIN accounts_token AS token ON token.id = due.token_id
            WHERE due.due_at <= statement_timestamp() AND due.status IN ('active', 'failing')
              AND (due.retry_at IS NULL OR due.retry_at <= statement_timestamp())
              AND (due.leased_until IS NULL OR due.leased_until <= statement_timestamp())
              AND (token.expires_at IS NULL OR token.expires_at > statement_timestamp())
        ) AS turn USING (id)
        WHERE turn.place + (
            SELECT count(*) FROM webhooks_webhook AS busy
            WHERE busy.customer_id = turn.customer_id AND busy.leased_until > statement_timestamp()
        ) <= %(of_a_customer)s
        ORDER BY turn.due_at, w.id LIMIT %(free)s FOR UPDATE OF w SKIP LOCKED)
      AND (leased_until IS NULL OR leased_until <= statement_timestamp())
    RETURNING *
"""
# Before the statements that read the webhook's deliveries: a statement that itself waited for this lock would not see
# the deliveries that were entered meanwhile, and with no later event they would never become due.
LOCK = "SELECT FROM webhooks_webhook WHERE id = %s FOR UPDATE"
# A delivery that was resent meanwhile has a different number of attempts, and stays due.
RECORD_ATTEMPTS = """
    UPDATE webhooks_delivery AS d
    SET attempts = d.attempts + 1, answer = tried.answer,
        delivered_at = CASE WHEN tried.is_delivered THEN statement_timestamp() END,
        next_at = statement_timestamp() + make_interval(secs => tried.pause)
    FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::bool[], %s::float8[])
        AS tried (id, attempts, answer, is_delivered, pause)
    WHERE d.id = tried.id AND d.attempts = tried.attempts
"""
DUE = """
    SELECT due.* FROM unnest(%s::uuid[]) AS hook (id) CROSS JOIN LATERAL (
        SELECT * FROM webhooks_delivery WHERE webhook_id = hook.id AND next_at <= statement_timestamp()
        ORDER BY next_at, id LIMIT %s
    ) AS due
    ORDER BY due.next_at, due.id
"""
# A webhook that was paused or ended meanwhile keeps that status.
RELEASE = """
    UPDATE webhooks_webhook AS w
    SET leased_until = NULL,
        failures = %(failures)s,
        failing_since = CASE WHEN %(failures)s > 0 THEN coalesce(w.failing_since, statement_timestamp()) END,
        retry_at = statement_timestamp() + make_interval(secs => %(pause)s),
        due_at = (SELECT min(next_at) FROM webhooks_delivery AS d WHERE d.webhook_id = w.id),
        status = found.status,
        status_reason = CASE WHEN found.status = w.status THEN w.status_reason
                             WHEN found.status = 'failing' THEN %(answer)s ELSE '' END,
        status_at = CASE WHEN found.status = w.status THEN w.status_at ELSE statement_timestamp() END
    FROM (
        SELECT id, CASE
            WHEN status = 'failing' AND %(failures)s = 0 THEN 'active'
            WHEN status = 'active' AND %(failures)s >= %(failing_from)s
                 AND failing_since < statement_timestamp() - make_interval(secs => %(failing_after)s) THEN 'failing'
            ELSE status END AS status
        FROM webhooks_webhook WHERE id = %(id)s
    ) AS found
    WHERE w.id = found.id
    RETURNING w.status
"""
# After n attempts a delivery waits for the n-th pause. The bound is the next pause, which is longer.
DELIVERIES_TOO_FAR_AHEAD = """
    UPDATE webhooks_delivery SET next_at = statement_timestamp()
    WHERE next_at > statement_timestamp() + make_interval(secs => coalesce((%s::float8[])[attempts + 1], %s))
    RETURNING webhook_id
"""
WEBHOOKS_TOO_FAR_AHEAD = """
    UPDATE webhooks_webhook
    SET due_at = CASE WHEN id = ANY (%(late)s) THEN statement_timestamp() ELSE due_at END,
        leased_until = CASE WHEN leased_until <= statement_timestamp() + make_interval(secs => %(lease)s)
                            THEN leased_until END,
        retry_at = CASE WHEN retry_at <= statement_timestamp() + make_interval(secs => %(pause)s) THEN retry_at END
    WHERE id = ANY (%(late)s)
       OR leased_until > statement_timestamp() + make_interval(secs => %(lease)s)
       OR retry_at > statement_timestamp() + make_interval(secs => %(pause)s)
"""
