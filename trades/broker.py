"""This process's connection to the broker, where it is Valkey, and how long it is left alone after it failed."""

from functools import cache

import redis
from django.conf import settings

from web import valkey
from web.backoff import Backoff

RETRY_SECONDS = 1.0  # how long a process sends no rings after the broker failed

broker_backoff = Backoff(RETRY_SECONDS)


def broker() -> redis.Redis:
    """Return this process's client of the broker.

    Raises:
        ConnectionError: The broker is RabbitMQ.
    """
    if settings.BROKER_IS_RABBITMQ:
        raise redis.ConnectionError("RabbitMQ has no sets")
    return _connect(settings.BROKER_URL)


@cache
def _connect(url: str) -> redis.Redis:
    return valkey.client(url, 1, health_check_interval=5)


def forget_broker() -> None:
    """Connect anew when the broker is next needed, and forget that it failed; for a forked process."""
    _connect.cache_clear()
    broker_backoff.stop()
