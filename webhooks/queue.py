"""The queue of deliveries: enter each event of the feed once for each webhook that subscribes to it.

At most WAITING_MAX deliveries of a webhook wait. Later events stay in the feed until there is room, so a receiver that
accepts nothing neither fills the table nor loses events.
"""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from feed import reader
from feed.api import event_body
from feed.reader import Cursor, Event
from webhooks.models import Delivery, Webhook

WEBHOOKS_AT_ONCE_MAX, EVENTS_OF_A_CUSTOMER_MAX = 10, 20  # in one transaction
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

    The feed serves no event while an earlier transaction is open, so this one must be short. Everything is prepared
    first, and then written by a single statement.
    """
    until = reader.latest_cursor()
    bodies: dict[str, str] = {}
    advances: list[tuple[UUID, int, int, int, int, bool]] = []
    deliveries: list[Delivery] = []
    may_be_more = False
    limits = [until.xact, until.xact, WAITING_MAX, WAITING_MAX, WEBHOOKS_AT_ONCE_MAX]
    hooks = list(Webhook.objects.raw(SELECT_BEHIND, limits))
    starts = [(hook.customer_id, Cursor(hook.xact, hook.change)) for hook in hooks]
    for hook, events in zip(hooks, reader.read(starts, until, EVENTS_OF_A_CUSTOMER_MAX), strict=True):
        cursor_after = events[-1].cursor if events.may_be_more else until
        subscribed = [event for event in events if not hook.events or event.type in hook.events]
        advances.append((hook.pk, hook.xact, hook.change, *cursor_after, bool(subscribed)))
        deliveries += [_delivery(hook, event, bodies) for event in subscribed]
        may_be_more = may_be_more or events.may_be_more
    if not advances:
        return 0, False
    rows = [(new.webhook_id, new.event_id, new.type, new.body) for new in deliveries]
    with connection.cursor() as cursor:
        cursor.execute(ENTER, [*_columns(advances, 6), *_columns(rows, 4)])
        return cursor.rowcount, may_be_more or len(hooks) == WEBHOOKS_AT_ONCE_MAX


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [[row[number] for row in rows] for number in range(count)]


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


# The webhooks whose events were entered longest ago come first, so that none is starved, however many are behind.
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
    ORDER BY w.entered_at, w.id LIMIT %s
"""
# A webhook whose cursor has moved since it was read is skipped, because another process has entered its events.
ENTER = """
    WITH place AS (
        SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bool[])
            AS place (id, from_xact, from_change, xact, change, is_due)
    ), locked AS (
        SELECT w.id FROM webhooks_webhook AS w JOIN place USING (id)
        WHERE w.xact = place.from_xact AND w.change = place.from_change AND w.status IN ('active', 'failing')
        FOR UPDATE OF w SKIP LOCKED
    ), moved AS (
        UPDATE webhooks_webhook AS w
        SET xact = place.xact, change = place.change, entered_at = statement_timestamp(),
            due_at = CASE WHEN place.is_due THEN least(w.due_at, statement_timestamp()) ELSE w.due_at END
        FROM place JOIN locked USING (id) WHERE w.id = place.id RETURNING w.id
    )
    INSERT INTO webhooks_delivery (webhook_id, event_id, type, body, attempts, answer)
    SELECT entered.webhook_id, entered.event_id, entered.type, entered.body, 0, ''
    FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY
        AS entered (webhook_id, event_id, type, body, number)
    JOIN moved ON moved.id = entered.webhook_id
    ORDER BY entered.number
"""
