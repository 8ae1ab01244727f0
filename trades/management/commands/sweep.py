"""`manage.py sweep`: search periodically for whatever was missed. Any number of sweeps may run."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections, connection
from django.utils.module_loading import import_string

from exchange import clock_skew, market, prices
from trades.bell import ring_for_queued
from trades.corporate_actions import apply_due, read_announcements
from trades.management.commands.lanes import NO_CALLBACK_URL
from trades.sweep import ask_exchange, ring_for_waiting, stand_in

RING_EVERY_SECONDS = 1.0
ASK_EVERY_SECONDS = 1.0
STAND_IN_EVERY_SECONDS = 0.5
BELL_EVERY_SECONDS = 0.25
CLOCK_EVERY_SECONDS = 1.0
ANNOUNCEMENTS_EVERY_SECONDS = 60.0
ACTIONS_EVERY_SECONDS = 1.0
LIST_EVERY_SECONDS = 60.0
SKEW_EVERY_SECONDS = 5.0
RETRY_SECONDS = 1.0

log = structlog.get_logger()


class Command(BaseCommand):
    help = "Sweep until SIGTERM."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.CALLBACK_URL:
            raise CommandError(NO_CALLBACK_URL)
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        signal.signal(signal.SIGINT, lambda *_: stop.set())
        # Each job has its own thread, so that lanes are rung even while the exchange hangs.
        loops = [
            (ring_for_waiting_here, RING_EVERY_SECONDS),
            (stand_in_here, STAND_IN_EVERY_SECONDS),
            (ask_exchange, ASK_EVERY_SECONDS),
            (ring_for_queued_here, BELL_EVERY_SECONDS),
            (read_announcements, ANNOUNCEMENTS_EVERY_SECONDS),
            (apply_due, ACTIONS_EVERY_SECONDS),
            (market.refresh_clock, CLOCK_EVERY_SECONDS),
            (market.refresh, LIST_EVERY_SECONDS),
            (prices.refresh, prices.REFRESH_SECONDS),
            (prices.store, prices.STORE_SECONDS),
            (clock_skew.measure, SKEW_EVERY_SECONDS),
            *((import_string(name), seconds) for name, seconds in settings.SWEEP_JOBS.items()),
        ]
        threads = [threading.Thread(target=_repeat, args=(work, every, stop)) for work, every in loops]
        for thread in threads:
            thread.start()
        log.info("sweeping")
        stop.wait()
        for thread in threads:
            thread.join(timeout=8)


def ring_for_waiting_here() -> None:
    ring_for_waiting(by=settings.PROCESS_NAME)


def stand_in_here() -> None:
    stand_in(by=settings.PROCESS_NAME)


def ring_for_queued_here() -> None:
    ring_for_queued(by=settings.PROCESS_NAME)


def _repeat(work: Callable[[], Any], every_seconds: float, stop: threading.Event) -> None:
    """Repeat a job until `stop` is set, even if it fails. It pauses after each round, so rounds never pile up."""
    while not stop.is_set():
        try:
            close_old_connections()  # the server may have closed them meanwhile
            work()
            pause_seconds = every_seconds
        except Exception as error:  # noqa: BLE001 — whatever failed, there must be a next round
            log.warning("sweep: a round failed; the next one follows", work=work.__name__, error=repr(error))
            connection.close()
            pause_seconds = RETRY_SECONDS
        stop.wait(pause_seconds)
