"""What Celery calls. A task is a door: it translates, and makes one call."""

import time
from collections.abc import Sequence
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import close_old_connections

from trades.lane import CUSTOMERS_A_TURN_MAX, answer
from trades.turn import take_turn

LINGER_SECONDS = 0.01


@shared_task(name="trades.turn")
def turn(*, lane: int, customer_ids: Sequence[int] = (), **_: Any) -> None:
    """Take a turn for every customer of this lane that rang.

    Lost: the sweep rings again. Doubled or late: nobody has rung, and nothing happens. Keywords that a newer or older
    release sends are swallowed. customer_ids: who rang, where the broker keeps no sets (RabbitMQ).
    """
    close_old_connections()  # those that the server has closed meanwhile
    rang = [*customer_ids, *answer(lane)]
    if len(rang) > 1:
        # It is busy: a moment's wait for company makes each trade cheaper. Who rings alone does not wait.
        time.sleep(LINGER_SECONDS)
        rang += answer(lane, CUSTOMERS_A_TURN_MAX - len(rang))
    if rang:
        take_turn(sorted(set(rang)), settings.PROCESS_NAME)
