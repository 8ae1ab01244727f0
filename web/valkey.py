"""How a process talks to Valkey: it never waits long, and never stays with a server that has become a replica."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# A kept connection to a primary that became a replica answers READONLY for ever. Nothing has been done then, so the
# command is tried once more on a new connection, which leads to the new primary. No other error is worth a wait.
RETRY = Retry(NoBackoff(), 1, supported_errors=(redis.ReadOnlyError,))


def client(url: str, seconds_max: float, **options: Any) -> redis.Redis:
    """Return a client that keeps its connections, and waits at most so long for each answer."""
    return redis.Redis.from_url(
        url, socket_timeout=seconds_max, socket_connect_timeout=seconds_max, retry=RETRY, **options
    )
