"""How many requests a minute a token may make, counted in the Valkey of CACHE_URL: every web process counts together.

Reads are counted apart from orders, which is everything that changes something. What comes without a known token, to
sign in or by mistake, is counted by its address. A window is a minute of the web process's clock. The first hundredth
of a limit each process counts by itself, and tells the store of it when it is used up: who is far from the limit, as
nearly everybody is, costs no call. Where the store is away, or there is none, nobody is limited: trading goes on.
"""

import threading
import time
from dataclasses import dataclass

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from web.authentication import Grant

WINDOW_SECONDS = 60
COUNTED_HERE = 0.01  # the part of a limit that a process counts by itself
STORE_SECONDS_MAX = 0.25  # what a request waits for the store, at most
SILENCE_SECONDS = 1.0  # how long a process leaves a store alone that failed

log = structlog.get_logger()
_client: redis.Redis | None = None
_lock = threading.Lock()
_silent_until = float("-inf")
_window = 0
_counted: dict[str, int] = {}  # by this process, in this window


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a token has left: of `limit` requests in this window `remaining`, until `reset_seconds` from now."""

    limit: int
    remaining: int
    reset_seconds: int
    exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        """For every answer; `X-RateLimit-Reset` is the second, since 1970, at which all of it is there again."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(time.time()) + self.reset_seconds),
        }


def count(grant: Grant, is_read: bool) -> Allowance:
    """Count one request of a token. Again: one more. Never raises, and waits no longer than STORE_SECONDS_MAX."""
    return _count(f"limit:{grant.id}:{'reads' if is_read else 'orders'}", _most(grant, is_read))


def count_stranger(address: str) -> Allowance:
    """The same of a request that no known token came with, by the address it came from."""
    return _count(f"limit:stranger:{address}", settings.STRANGERS_A_MINUTE)


def _count(key: str, most: int) -> Allowance:
    global _silent_until
    window, passed_seconds = divmod(int(time.time()), WINDOW_SECONDS)
    used = counted = _count_here(window, key)
    alone = int(most * COUNTED_HERE)
    exceeded = False
    if counted > alone and time.monotonic() >= _silent_until and settings.CACHE_URL:
        key = f"{settings.KEY_PREFIX}{key}:{window}"
        try:
            with _store().pipeline(transaction=False) as pipe:
                pipe.incrby(key, counted if counted == alone + 1 else 1)
                pipe.expire(key, 2 * WINDOW_SECONDS)  # clocks may differ
                used, _ = pipe.execute()
            exceeded = used > most
        except (redis.RedisError, OSError) as error:
            _silent_until = time.monotonic() + SILENCE_SECONDS
            log.warning("limits: the store is away; nobody is limited", error=repr(error))
    return Allowance(most, max(0, most - used), WINDOW_SECONDS - passed_seconds, exceeded)


def _count_here(window: int, key: str) -> int:
    global _window
    with _lock:
        if window != _window:
            _window = window
            _counted.clear()
        _counted[key] = _counted.get(key, 0) + 1
        return _counted[key]


def _most(grant: Grant, is_read: bool) -> int:
    own = grant.own_reads_a_minute if is_read else grant.own_orders_a_minute
    if own is not None:
        return own
    return settings.READS_A_MINUTE if is_read else settings.ORDERS_A_MINUTE


def _store() -> redis.Redis:
    global _client
    with _lock:
        if _client is None:
            _client = redis.Redis.from_url(
                settings.CACHE_URL,
                socket_timeout=STORE_SECONDS_MAX,
                socket_connect_timeout=STORE_SECONDS_MAX,
                retry=Retry(NoBackoff(), 0),
            )
    return _client
