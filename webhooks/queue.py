"""The queue of deliveries: enter each event of the feed once for each webhook that subscribes to it.

At most WAITING_MAX deliveries of a webhook wait. Later events stay in the feed until there is room, so a receiver that
accepts nothing neither fills the table nor loses events.
"""

import json
import time
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least, Now

from feed import reader
from feed.api import event_body
from feed.reader import Cursor, Event
from webhooks.models import Delivery, Webhook

WEBHOOKS_AT_ONCE_MAX, EVENTS_A_WEBHOOK_MAX = 10, 20  # in one transaction
ROUND_SECONDS_MAX = 5.0
WAITING_MAX = 500  # for each webhook


def enter_events() -> int:
    """Enter deliveries for the events since the last call, and return how many. Processes may call it concurrently.

    Idempotent: an event is not entered again.
    """
    entered, ends_at = 0, time.monotonic() + ROUND_SECONDS_MAX
    while time.monotonic() < ends_at:
        count, may_be_more = _enter_some()
        entered += count
        if not may_be_more:
            break
    return entered


def _enter_some() -> tuple[int, bool]:
    """Enter some events of some webhooks; return how many, and whether there may be more.

    The transaction is short, however many events are behind, because no reader is served an event until every
    transaction that began before it has ended.
    """
    until = reader.latest_cursor()
    bodies: dict[str, str] = {}
    deliveries = []
    may_be_more = False
    with transaction.atomic(durable=True):
        hooks = list(
            Webhook.objects.raw(SELECT_BEHIND, [until.xact, until.xact, WAITING_MAX, WAITING_MAX, WEBHOOKS_AT_ONCE_MAX])
        )
        askers = [(hook.customer_id, Cursor(hook.xact, hook.change)) for hook in hooks]
        for hook, events in zip(hooks, reader.read(askers, until, EVENTS_A_WEBHOOK_MAX), strict=True):
            is_full = len(events) == EVENTS_A_WEBHOOK_MAX
            cursor = events[-1].cursor if is_full else until
            wanted = [event for event in events if not hook.events or event.type in hook.events]
            due = {"due_at": Least(Coalesce(F("due_at"), Now()), Now())} if wanted else {}
            Webhook.objects.filter(pk=hook.pk).update(xact=cursor.xact, change=cursor.change, entered_at=Now(), **due)
            deliveries += [_delivery(hook, event, bodies) for event in wanted]
            may_be_more = may_be_more or is_full
        Delivery.objects.bulk_create(deliveries)
    return len(deliveries), may_be_more or len(hooks) == WEBHOOKS_AT_ONCE_MAX


def reenter_events(webhook: Webhook, events: Iterable[Event]) -> None:
    """Enter events again; an existing delivery becomes due again. Needs a transaction."""
    bodies: dict[str, str] = {}
    Delivery.objects.bulk_create(
        [_delivery(webhook, event, bodies) for event in events],
        update_conflicts=True,
        unique_fields=["webhook", "event_id"],
        update_fields=["attempts", "next_at", "delivered_at"],
    )


def _delivery(hook: Webhook, event: Event, bodies: dict[str, str]) -> Delivery:
    if event.id not in bodies:  # serialize it once, however many webhooks it goes to
        bodies[event.id] = json.dumps(event_body(event))
    return Delivery(webhook=hook, event_id=event.id, type=event.type, body=bodies[event.id])


# The webhooks read longest ago come first, so that none is starved, however many are behind.
SELECT_BEHIND = """
    SELECT w.* FROM webhooks_webhook AS w
    JOIN accounts_customer AS customer ON customer.id = w.customer_id AND customer.is_active
    LEFT JOIN accounts_token AS token ON token.id = w.token_id
    WHERE w.status IN ('active', 'failing') AND (token.expires_at IS NULL OR token.expires_at > statement_timestamp())
      AND (EXISTS (
        SELECT FROM trades_statuschange AS m
        WHERE m.customer_id = w.customer_id AND (m.xact, m.id) > (w.xact, w.change) AND m.xact < %s::bigint)
      OR EXISTS (
        SELECT FROM trades_entitlement AS m
        WHERE m.customer_id = w.customer_id AND (m.xact, m.event) > (w.xact, w.change) AND m.xact < %s::bigint))
      AND (SELECT count(*) FROM (
        SELECT FROM webhooks_delivery AS d WHERE d.webhook_id = w.id AND d.next_at IS NOT NULL LIMIT %s
      ) AS waiting) < %s
    ORDER BY w.entered_at, w.id LIMIT %s FOR UPDATE OF w SKIP LOCKED
"""
