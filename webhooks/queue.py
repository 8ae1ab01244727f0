"""The queue of deliveries: what happened is entered from the feed, each event once for each webhook that wants it.

A webhook has WAITING_MAX deliveries waiting at most. What comes after them stays in the feed, in its place, until there
is room: a receiver that takes nothing fills no table, and loses nothing.
"""

import json
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least, Now

from feed import reader
from feed.api import event_body
from feed.reader import Cursor, Event
from webhooks.models import Delivery, Webhook

WEBHOOKS_A_ROUND_MAX, EVENTS_A_WEBHOOK_MAX = 200, 100
WAITING_MAX = 500  # of one webhook


def enter_events() -> int:
    """Enter deliveries for what happened since; return how many. Any number of processes may do so at once.

    Idempotent: what was entered is not entered again.
    """
    until = reader.now()
    bodies: dict[str, str] = {}
    deliveries = []
    with transaction.atomic(durable=True):
        hooks = list(Webhook.objects.raw(BEHIND, [until.xact, WAITING_MAX, WAITING_MAX, WEBHOOKS_A_ROUND_MAX]))
        askers = [(hook.customer_id, Cursor(hook.xact, hook.change)) for hook in hooks]
        for hook, events in zip(hooks, reader.read(askers, until, EVENTS_A_WEBHOOK_MAX), strict=True):
            place = events[-1].cursor if len(events) == EVENTS_A_WEBHOOK_MAX else until
            wanted = [event for event in events if not hook.events or event.type in hook.events]
            due = {"due_at": Least(Coalesce(F("due_at"), Now()), Now())} if wanted else {}
            Webhook.objects.filter(pk=hook.pk).update(xact=place.xact, change=place.change, entered_at=Now(), **due)
            deliveries += [_delivery(hook, event, bodies) for event in wanted]
        Delivery.objects.bulk_create(deliveries)
    return len(deliveries)


def enter_again(webhook: Webhook, events: Iterable[Event]) -> None:
    """Enter events again: an event that has a delivery is delivered again. Needs a transaction."""
    bodies: dict[str, str] = {}
    Delivery.objects.bulk_create(
        [_delivery(webhook, event, bodies) for event in events],
        update_conflicts=True,
        unique_fields=["webhook", "event_id"],
        update_fields=["attempts", "next_at", "delivered_at"],
    )


def _delivery(hook: Webhook, event: Event, bodies: dict[str, str]) -> Delivery:
    if event.id not in bodies:  # once, however many webhooks it goes to
        bodies[event.id] = json.dumps(event_body(event))
    return Delivery(webhook=hook, event_id=event.id, type=event.type, body=bodies[event.id])


# Those that were looked at longest ago come first, so that none is left out however many are behind.
BEHIND = """
    SELECT w.* FROM webhooks_webhook AS w
    JOIN accounts_customer AS customer ON customer.id = w.customer_id AND customer.is_active
    LEFT JOIN accounts_token AS token ON token.id = w.token_id
    WHERE w.status IN ('active', 'failing') AND (token.expires_at IS NULL OR token.expires_at > statement_timestamp())
      AND EXISTS (
        SELECT FROM trades_statuschange AS m
        WHERE m.customer_id = w.customer_id AND (m.xact, m.id) > (w.xact, w.change) AND m.xact < %s::bigint)
      AND (SELECT count(*) FROM (
        SELECT FROM webhooks_delivery AS d WHERE d.webhook_id = w.id AND d.next_at IS NOT NULL LIMIT %s
      ) AS waiting) < %s
    ORDER BY w.entered_at, w.id LIMIT %s FOR UPDATE OF w SKIP LOCKED
"""
