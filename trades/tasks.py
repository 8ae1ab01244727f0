"""The Celery tasks of trading. A task is a door: it translates the message and calls one verb."""

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

    The sweep makes up for a lost message; a doubled or late message finds nothing to do.

    Args:
        lane: The lane that the message belongs to.
        customer_ids: The customers that rang, if the broker has no sets (RabbitMQ).
        _: Keyword arguments of older or newer releases.
    """
    close_old_connections()  # the server may have closed them meanwhile
    for rung in collect_rings(lane, customer_ids):
        take_turn(rung, settings.PROCESS_NAME)
