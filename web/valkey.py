"""Valkey clients with short timeouts, which reconnect when their server has become a replica.

All uses of the shared cache in a process (prices, market hours, rate limits, sign-in attempts) share one back-off: the
first that fails makes the others do without the cache for a moment. So a turn or a request waits for it once at most.
"""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from web.backoff import Backoff
from web.patience import waiting

CACHE_SECONDS_MAX = 0.5  # how long to wait for a connection to the shared cache, and for each answer
CACHE_AWAY_SECONDS = 2.0  # how long a process does without the shared cache after it has failed

# An open connection to a primary that became a replica answers READONLY forever. Such a command was not executed, so
# it is retried once on a new connection, which leads to the new primary. Other errors are not retried.
RETRY = Retry(NoBackoff(), 1, supported_errors=(redis.ReadOnlyError,))
CACHE_OPTIONS = {
    "socket_timeout": CACHE_SECONDS_MAX,
    "socket_connect_timeout": CACHE_SECONDS_MAX,
    "retry": RETRY,
}

cache_backoff = Backoff(CACHE_AWAY_SECONDS)


class _Client(redis.Redis):
    @waiting()
    def execute_command(self, *args: Any, **options: Any) -> Any:
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def client(url: str, seconds_max: float, **options: Any) -> redis.Redis:
    """Return a client with a connection pool that waits at most `seconds_max` for a connection and for each answer."""
    return _Client.from_url(url, socket_timeout=seconds_max, socket_connect_timeout=seconds_max, retry=RETRY, **options)
