"""Webhooks: a customer's events, posted to an address of theirs, signed as Standard Webhooks specifies.

Deliveries are entered from the feed, each event once for each webhook, and tried until they are answered 2xx, with
growing pauses, for a day. A receiver tells what came twice by `webhook-id`, which is the event's id, and orders by it.
Any number of processes may enter and deliver.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import structlog
import urllib3
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks import Webhook as Signer
from urllib3.util import Retry, Timeout

from feed import reader
from feed.api import event_body
from feed.reader import Cursor
from webhooks.addresses import AddressRefused, resolve
from webhooks.models import Delivery, Webhook

PAUSES_SECONDS = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)  # a day in all
TIMEOUT = Timeout(connect=3.0, read=5.0)
LEASE_SECONDS = 60  # after which another process tries what a process that died was at
HOOKS_A_ROUND_MAX, EVENTS_A_HOOK_MAX = 200, 100
DELIVERIES_A_ROUND_MAX, AT_ONCE = 64, 8

log = structlog.get_logger()


def enter() -> int:
    """Enter deliveries for what happened since; how many. Again: nothing is left."""
    until = reader.now()
    with transaction.atomic(durable=True):
        hooks = list(Webhook.objects.raw(BEHIND, [until.xact, HOOKS_A_ROUND_MAX]))
        askers = [(hook.customer_id, Cursor(hook.xact, hook.change)) for hook in hooks]
        deliveries = []
        for hook, events in zip(hooks, reader.read(askers, until, EVENTS_A_HOOK_MAX), strict=True):
            place = events[-1].cursor if len(events) == EVENTS_A_HOOK_MAX else until
            Webhook.objects.filter(pk=hook.pk).update(xact=place.xact, change=place.change)
            deliveries += [
                Delivery(webhook=hook, event_id=event.id, type=event.type, body=json.dumps(event_body(event)))
                for event in events
            ]
        Delivery.objects.bulk_create(deliveries)
    return len(deliveries)


def deliver() -> int:
    """Try the deliveries that are due; how many. Again: those that are due then."""
    due = list(Delivery.objects.raw(DUE, [LEASE_SECONDS, DELIVERIES_A_ROUND_MAX]))
    if not due:
        return 0
    hooks = Webhook.objects.in_bulk({delivery.webhook_id for delivery in due})
    failed: set[UUID] = set()

    def attempt(delivery: Delivery) -> "_Outcome":
        hook = hooks.get(delivery.webhook_id)
        if hook is None or hook.pk in failed:  # one that does not answer is not waited for again and again
            return _Outcome(False, "not tried: the delivery before it failed")
        outcome = _post(hook, delivery)
        if not outcome.is_delivered:
            failed.add(hook.pk)
        return outcome

    with ThreadPoolExecutor(AT_ONCE, "webhook") as pool:
        outcomes = list(pool.map(attempt, due))
    with connection.cursor() as cursor:
        for delivery, outcome in zip(due, outcomes, strict=True):
            pause = None if outcome.is_delivered else _pause(delivery.attempts)
            cursor.execute(TRIED, [outcome.answer, outcome.is_delivered, pause, delivery.pk])
    return len(due)


@dataclass(frozen=True, slots=True)
class _Outcome:
    is_delivered: bool
    answer: str


def _pause(attempts: int) -> int | None:
    """Seconds until the next attempt after so many; None: it is given up."""
    return PAUSES_SECONDS[attempts] if attempts < len(PAUSES_SECONDS) else None


def _post(hook: Webhook, delivery: Delivery) -> _Outcome:
    now = timezone.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "brokerage-webhooks/1",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(hook.secret).sign(delivery.event_id, now, delivery.body),
    }
    try:
        parts, address = resolve(hook.url)
        headers["Host"] = parts.netloc
        # To the address that was looked at, whatever the name means a moment later.
        pool: urllib3.HTTPConnectionPool = (
            urllib3.HTTPSConnectionPool(
                address, parts.port or 443, server_hostname=parts.hostname, assert_hostname=parts.hostname
            )
            if parts.scheme == "https"
            else urllib3.HTTPConnectionPool(address, parts.port or 80)
        )
        with pool:
            answer = pool.urlopen(
                "POST",
                (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
                body=delivery.body.encode(),
                headers=headers,
                timeout=TIMEOUT,
                retries=Retry(0, redirect=0, raise_on_redirect=False),
                redirect=False,
                preload_content=False,
            )
            answer.close()  # what it says does not matter
        return _Outcome(200 <= answer.status < 300, f"HTTP {answer.status}")
    except AddressRefused as refusal:
        return _Outcome(False, f"refused: {refusal}"[:200])
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return _Outcome(False, type(error).__name__)


BEHIND = """
    SELECT w.* FROM webhooks_webhook AS w
    WHERE EXISTS (
        SELECT FROM trades_statuschange AS m
        WHERE m.customer_id = w.customer_id AND (m.xact, m.id) > (w.xact, w.change) AND m.xact < %s::bigint)
    ORDER BY w.id LIMIT %s FOR UPDATE OF w SKIP LOCKED
"""
DUE = """
    UPDATE webhooks_delivery SET next_at = statement_timestamp() + make_interval(secs => %s)
    WHERE id IN (
        SELECT id FROM webhooks_delivery WHERE next_at <= statement_timestamp()
        ORDER BY next_at, id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING *
"""
TRIED = """
    WITH tried AS (SELECT %s::text AS answer, %s::boolean AS is_delivered, %s::int AS pause, %s::bigint AS id)
    UPDATE webhooks_delivery AS d
    SET attempts = d.attempts + 1, answer = tried.answer,
        delivered_at = CASE WHEN tried.is_delivered THEN statement_timestamp() END,
        next_at = statement_timestamp() + make_interval(secs => tried.pause)
    FROM tried WHERE d.id = tried.id
"""
