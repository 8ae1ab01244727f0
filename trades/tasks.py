"""The Celery tasks of trading. A task is a door: it translates, and makes one call."""

from collections.abc import Sequence
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import close_old_connections

from trades.lane import collect_rings
from trades.turn import take_turn


@shared_task(name="trades.turn")
def turn(*, lane: int, customer_ids: Sequence[int] = (), **_: Any) -> None:
    """Take turns for the customers that have rung, until no one is left.

    A lost message is made up for by the sweep; a doubled or late one finds nothing to do.

    Args:
        lane: The lane whose message this is.
        customer_ids: The customers that rang, where the broker has no sets (RabbitMQ).
        _: Keywords of an older or newer release.
    """
    close_old_connections()  # the server may have closed them meanwhile
    for rung in collect_rings(lane, customer_ids):
        take_turn(rung, settings.PROCESS_NAME)
