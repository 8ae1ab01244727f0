"""Heartbeat: the sweep asks whether the workers and the exchange are there, so that no page has to wait for them."""

import time
from datetime import timedelta

from celery import current_app
from django.utils import timezone

from exchange import gateway
from exchange.messages import Unknown, storable
from office.models import Heartbeat

PING_SECONDS = 0.5  # how long workers have to answer; a ping always takes this long
RECENT_SECONDS = 3  # a heartbeat is not taken again so soon, however many sweeps run
OLD_SECONDS = 30  # an older heartbeat says nothing about now


def ask() -> None:
    """Ask the workers and the exchange, and store what they answered.

    Idempotent: what another sweep has just asked is not asked again.
    """
    if Heartbeat.objects.filter(asked_at__gt=timezone.now() - timedelta(seconds=RECENT_SECONDS)).exists():
        return
    exchange_ms, exchange_seen = _exchange()
    heartbeat = Heartbeat(
        id=1, asked_at=timezone.now(), workers=_workers(), exchange_ms=exchange_ms, exchange_seen=exchange_seen
    )
    Heartbeat.objects.bulk_create(
        [heartbeat],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["asked_at", "workers", "exchange_ms", "exchange_seen"],
    )


def latest() -> Heartbeat | None:
    """Return the last heartbeat; None if the sweep has not asked for OLD_SECONDS."""
    return Heartbeat.objects.filter(asked_at__gt=timezone.now() - timedelta(seconds=OLD_SECONDS)).first()


def _workers() -> list[str] | None:
    """Return the names of the workers that answer; None if the message broker can't be reached."""
    try:
        answers = current_app.control.ping(timeout=PING_SECONDS) or []
    except Exception:  # noqa: BLE001 — kombu passes on any error of its transport
        return None
    return sorted(name[:200] for answer in answers for name in answer)


def _exchange() -> tuple[float | None, str]:
    """Return how many milliseconds the exchange took to answer, or None and what was seen instead."""
    began = time.monotonic()
    try:
        gateway.clock()
    except Unknown as unknown:
        return None, storable(unknown, 300)
    return (time.monotonic() - began) * 1000, ""
