"""What Celery calls. A task is a door: it translates, and makes one call."""

from collections.abc import Sequence
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import close_old_connections

from trades.lane import answers
from trades.turn import take_turn


@shared_task(name="trades.turn")
def turn(*, lane: int, customer_ids: Sequence[int] = (), **_: Any) -> None:
    """Take a turn for every customer that rang, until nobody has.

    Lost: the sweep rings again. Doubled or late: there is nothing to do for who rang. Keywords that a newer or older
    release sends are swallowed. customer_ids: who rang, where the broker keeps no sets (RabbitMQ).
    """
    close_old_connections()  # those that the server has closed meanwhile
    for rang in answers(lane, customer_ids):
        take_turn(rang, settings.PROCESS_NAME)
