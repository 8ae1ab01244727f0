"""Rate limits: how many requests a customer or an anonymous address may make in a minute.

All web processes share the counts in the Valkey of CACHE_URL. All tokens and pages of a customer share one limit: more
tokens do not allow more requests. Reads are counted separately from orders, which are all requests that change
something. Requests without a valid token or session are counted by address.

Each process counts the first hundredth of a limit locally and adds it to the shared count only when it is used up, so
a customer far below the limit, as nearly all are, costs no call to Valkey. While Valkey is unavailable or not
configured, requests are not limited, because trading goes on; each process then counts sign-in attempts on its own.
"""

import threading
import time
from dataclasses import dataclass

import redis
import structlog
from django.conf import settings

from web import valkey
from web.authentication import Grant
from web.patience import waiting

WINDOW_SECONDS = 60
LOCAL_SHARE = 0.01  # of a limit: what a process counts before it calls Valkey
KEYS_MAX = 100_000  # counted by one process; beyond that, all its local counts are dropped

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What remains of a limit in this window. The next window begins in `reset_seconds`."""

    limit: int
    remaining: int
    reset_seconds: int
    exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        """The rate limit headers of every response; `X-RateLimit-Reset` is in seconds since the epoch."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(time.time()) + self.reset_seconds),
        }


class _LocalCounts:
    """The counts of this process, by key and window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int], int] = {}

    def add(self, key: str, window: int, number: int = 1) -> int:
        with self._lock:
            if len(self._counts) >= KEYS_MAX:
                self._counts.clear()
            self._counts[key, window] = count = self._counts.get((key, window), 0) + number
            return count

    def get(self, key: str, window: int) -> int:
        with self._lock:
            return self._counts.get((key, window), 0)

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()


_counts = _LocalCounts()
_client: redis.Redis | None = None
_client_lock = threading.Lock()


def count(grant: Grant, is_read: bool, number: int = 1) -> Allowance:
    """Count requests made with a token against its customer's limit. Otherwise like `count_customer`."""
    own_limit = grant.own_reads_a_minute if is_read else grant.own_orders_a_minute
    return count_customer(grant.customer_id, is_read, own_limit, number)


def count_customer(customer_id: int, is_read: bool, own_limit: int | None, number: int = 1) -> Allowance:
    """Count requests of a customer. Never raises, and waits for Valkey only briefly.

    Args:
        own_limit: The customer's own limit in requests a minute; None: the default limit.
        number: How many requests this one counts as.
    """
    default_limit = settings.READS_A_MINUTE if is_read else settings.ORDERS_A_MINUTE
    key = f"limit:{customer_id}:{'reads' if is_read else 'orders'}"
    return _count_request(key, default_limit if own_limit is None else own_limit, number)


def count_stranger(address: str) -> Allowance:
    """Count one anonymous request by the client's address. Otherwise like `count_customer`."""
    return _count_request(f"limit:stranger:{address}", settings.STRANGERS_A_MINUTE)


def count_attempt(key: str, limit: int, window_seconds: int) -> Allowance:
    """Count one attempt at something that must not be tried too often. Exact, even for simultaneous attempts.

    The window slides: attempts in the previous window count in proportion to how much of it still lies within
    `window_seconds`. While Valkey is unavailable, the process counts on its own. Never raises, and waits for
    Valkey only briefly.
    """
    window, passed_seconds = divmod(int(time.time()), window_seconds)
    local = _counts.add(key, window), _counts.get(key, window - 1)
    shared = _add_in_store(f"{key}:{window}", 1, window_seconds, f"{key}:{window - 1}")
    used, used_before = local if shared is None else shared
    used += used_before * (window_seconds - passed_seconds) // window_seconds
    return Allowance(limit, max(0, limit - used), window_seconds - passed_seconds, used > limit)


def reset() -> None:
    """Drop the counts of this process and its connection to Valkey."""
    global _client
    with _client_lock:
        _client = None
    _counts.clear()
    valkey.cache_backoff.stop()


def _count_request(key: str, limit: int, number: int = 1) -> Allowance:
    window, passed_seconds = divmod(int(time.time()), WINDOW_SECONDS)
    used = local = _counts.add(key, window, number)
    local_max = int(limit * LOCAL_SHARE)
    exceeded = False
    if local > local_max:
        is_first = local - number <= local_max  # the first call also adds what was only counted locally
        shared = _add_in_store(f"{key}:{window}", local if is_first else number, WINDOW_SECONDS)
        if shared is not None:
            used, exceeded = shared[0], shared[0] > limit
    return Allowance(limit, max(0, limit - used), WINDOW_SECONDS - passed_seconds, exceeded)


def _add_in_store(key: str, number: int, window_seconds: int, previous_key: str = "") -> tuple[int, int] | None:
    """Add to a count in Valkey; return it and the count of `previous_key`. None if Valkey can't be used."""
    if not settings.CACHE_URL or valkey.cache_backoff.is_active:
        return None
    key = f"{settings.KEY_PREFIX}{key}"
    try:
        with waiting(), _store().pipeline(transaction=False) as pipe:
            pipe.incrby(key, number)
            pipe.expire(key, 2 * window_seconds)  # twice, because the clocks of processes may differ
            if previous_key:
                pipe.get(f"{settings.KEY_PREFIX}{previous_key}")
            used, _, *before = pipe.execute()
            return used, int(before[0] or 0) if before else 0
    except (redis.RedisError, OSError) as error:
        valkey.cache_backoff.start()
        log.warning("rate limits: Valkey is unavailable, so requests are not limited", error=repr(error))
        return None


def _store() -> redis.Redis:
    global _client
    with _client_lock:
        if _client is None:
            _client = valkey.client(settings.CACHE_URL, valkey.CACHE_SECONDS_MAX)
    return _client
