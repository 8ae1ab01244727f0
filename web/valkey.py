"""Valkey clients with short timeouts, which reconnect when their server has become a replica."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# An open connection to a primary that became a replica answers READONLY forever. Such a command was not executed, so
# it is retried once on a new connection, which leads to the new primary. Other errors are not retried.
RETRY = Retry(NoBackoff(), 1, supported_errors=(redis.ReadOnlyError,))


def client(url: str, seconds_max: float, **options: Any) -> redis.Redis:
    """Return a client with a connection pool that waits at most `seconds_max` for a connection and for each answer."""
    return redis.Redis.from_url(
        url, socket_timeout=seconds_max, socket_connect_timeout=seconds_max, retry=RETRY, **options
    )
