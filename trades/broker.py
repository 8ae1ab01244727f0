"""This process's connections to the message broker, and its back-off after the broker has failed."""

from functools import cache
from typing import Any

import redis
from celery import current_app
from django.conf import settings

from trades.rabbitmq import publisher
from web import valkey
from web.backoff import Backoff

RETRY_SECONDS = 1.0  # how long a process sends no rings after the broker has failed

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


def publish(task: str, queue: str, **arguments: Any) -> None:
    """Send a task to a queue. With RabbitMQ, try one node after another until one accepts it.

    Raises:
        Exception: The broker failed; clients raise all kinds of errors.
    """
    if settings.BROKER_IS_RABBITMQ:
        publisher().send(task, queue, arguments)
        return
    try:
        _send(task, queue, arguments)
    except redis.ReadOnlyError:  # pooled connections to a primary that has become a replica
        current_app.amqp.producer_pool.force_close_all(close_pool=False)  # type: ignore[attr-defined]
        current_app.pool.force_close_all(close_pool=False)  # type: ignore[attr-defined]
        _send(task, queue, arguments)


def _send(task: str, queue: str, arguments: dict[str, Any]) -> None:
    current_app.send_task(task, kwargs=arguments, queue=queue, retry=False)


def forget_broker() -> None:
    """Drop the connections and the back-off, so that a forked process opens its own connections."""
    _connect.cache_clear()
    publisher.cache_clear()
    broker_backoff.stop()
