"""`manage.py sweep`: looks periodically for whatever was missed. Any number of them may run."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from exchange import market
from exchange.messages import Unknown
from trades.sweep import ask_exchange, ring_for_waiting

RING_EVERY_SECONDS = 1.0
ASK_EVERY_SECONDS = 1.0
LIST_EVERY_SECONDS = 60.0

log = structlog.get_logger()


class Command(BaseCommand):
    help = "Sweep until SIGTERM."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        signal.signal(signal.SIGINT, lambda *_: stop.set())
        # Apart from each other, so that an exchange that hangs does not keep lanes from being rung.
        loops = [
            (ring_for_waiting_here, RING_EVERY_SECONDS),
            (ask_exchange, ASK_EVERY_SECONDS),
            (refresh_market, LIST_EVERY_SECONDS),
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


def refresh_market() -> None:
    """Read what the exchange lists; while it is away, the last list serves."""
    try:
        market.refresh()
    except Unknown as unknown:
        log.warning("the exchange's list could not be read; the last one serves", seen=str(unknown))


def _repeat(work: Callable[[], Any], every_seconds: float, stop: threading.Event) -> None:
    """Do it until told to stop, whatever happens in it. A pause follows the work, so nothing piles up."""
    while not stop.is_set():
        try:
            work()
        except Exception as error:  # noqa: BLE001 — the next round may go well, and there must be one
            log.error("sweep failed; going on", work=work.__name__, error=repr(error))
            connection.close()
        stop.wait(every_seconds)
