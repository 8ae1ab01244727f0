"""How much work is waiting in the lanes."""

from django.conf import settings

from trades.broker import broker
from trades.lane import queue_key, rung_key


def depths() -> list[tuple[int, int]]:
    """Return, for each lane, how many messages are in its queue and how many customers have rung.

    Raises:
        RedisError: The broker failed, or it is RabbitMQ.
    """
    with broker().pipeline(transaction=False) as pipe:
        for lane in range(settings.LANES):
            pipe.llen(queue_key(lane))
            pipe.scard(rung_key(lane))
        counts = pipe.execute()
    return list(zip(counts[::2], counts[1::2], strict=True))
