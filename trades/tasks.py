"""What Celery calls. A task is a door: it translates, and makes one call."""

from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import close_old_connections

from trades.lane import answer
from trades.turn import take_turn


@shared_task(name="trades.turn")
def turn(*, lane: int, **_: Any) -> None:
    """Take a turn for every customer of this lane that rang.

    Lost: the sweep rings again. Doubled or late: nobody has rung, and nothing happens. Keywords that a newer or older
    release sends are swallowed.
    """
    close_old_connections()  # those that the server has closed meanwhile
    if customer_ids := answer(lane):
        take_turn(customer_ids, settings.PROCESS_NAME)
