"""Rate limits: how many requests a customer, or an address of nobody we know, may make in a minute.

Every web process counts in the Valkey of CACHE_URL, so they count together. A customer's tokens and pages count
together too: more tokens do not allow more requests. Reads are counted apart from orders, which are all requests that
change something. Requests without a valid token or session are counted by address.

A process counts the first hundredth of a limit by itself and reports it when it is used up: a customer who is far from
the limit, as nearly all are, costs no call. While Valkey is away, or if there is none, requests are not limited, since
trading goes on; attempts to sign in are then counted by each process alone.
"""

import threading
import time
from dataclasses import dataclass

import redis
import structlog
from django.conf import settings

from web import valkey
from web.authentication import Grant
from web.backoff import Backoff

WINDOW_SECONDS = 60
COUNTED_HERE = 0.01  # the part of a limit that a process counts by itself
STORE_SECONDS_MAX = 0.25  # how long a request waits for Valkey at most
KEYS_MAX = 100_000  # that a process counts in one window; beyond it starts anew

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit in this window. The next window begins in `reset_seconds`."""

    limit: int
    remaining: int
    reset_seconds: int
    exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every response; `X-RateLimit-Reset` is in seconds since 1970."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(time.time()) + self.reset_seconds),
        }


class _LocalCounts:
    """Counts of this process, by key and window."""

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
_backoff = Backoff(1.0)
_client: redis.Redis | None = None
_client_lock = threading.Lock()


def count(grant: Grant, is_read: bool, number: int = 1) -> Allowance:
    """Count requests of a token against its customer's limit. Otherwise like `count_customer`."""
    own_limit = grant.own_reads_a_minute if is_read else grant.own_orders_a_minute
    return count_customer(grant.customer_id, is_read, own_limit, number)


def count_customer(customer_id: int, is_read: bool, own_limit: int | None, number: int = 1) -> Allowance:
    """Count requests of a customer. Never raises, and waits at most STORE_SECONDS_MAX.

    Args:
        own_limit: The customer's own limit, requests a minute; None: as everybody's.
        number: As how many requests this one counts.
    """
    everybodys = settings.READS_A_MINUTE if is_read else settings.ORDERS_A_MINUTE
    key = f"limit:{customer_id}:{'reads' if is_read else 'orders'}"
    return _count_request(key, everybodys if own_limit is None else own_limit, number)


def count_stranger(address: str) -> Allowance:
    """Count one request of nobody we know, by the address that it came from. Otherwise like `count_customer`."""
    return _count_request(f"limit:stranger:{address}", settings.STRANGERS_A_MINUTE)


def count_attempt(key: str, limit: int, window_seconds: int) -> Allowance:
    """Count one attempt at something that must not be tried too often. Exact, also for attempts at the same moment.

    The window slides: attempts of the window before count for as much of it as is still within `window_seconds`. While
    Valkey is away the process counts alone. Never raises, and waits at most STORE_SECONDS_MAX.
    """
    window, passed_seconds = divmod(int(time.time()), window_seconds)
    here, before_here = _counts.add(key, window), _counts.get(key, window - 1)
    there = _add_in_store(f"{key}:{window}", 1, window_seconds, f"{key}:{window - 1}")
    used, before = (here, before_here) if there is None else there
    used += before * (window_seconds - passed_seconds) // window_seconds
    return Allowance(limit, max(0, limit - used), window_seconds - passed_seconds, used > limit)


def reset() -> None:
    """Forget what this process has counted, and its connection to Valkey."""
    global _client
    with _client_lock:
        _client = None
    _counts.clear()
    _backoff.stop()


def _count_request(key: str, limit: int, number: int = 1) -> Allowance:
    window, passed_seconds = divmod(int(time.time()), WINDOW_SECONDS)
    used = here = _counts.add(key, window, number)
    alone = int(limit * COUNTED_HERE)
    exceeded = False
    if here > alone:
        is_first = here - number <= alone  # and reports what was counted here alone
        there = _add_in_store(f"{key}:{window}", here if is_first else number, WINDOW_SECONDS)
        if there is not None:
            used, exceeded = there[0], there[0] > limit
    return Allowance(limit, max(0, limit - used), WINDOW_SECONDS - passed_seconds, exceeded)


def _add_in_store(key: str, number: int, window_seconds: int, also: str = "") -> tuple[int, int] | None:
    """Add to a count in Valkey; return it, and the count `also`. None if Valkey is away, or there is none."""
    if not settings.CACHE_URL or _backoff.is_active:
        return None
    key = f"{settings.KEY_PREFIX}{key}"
    try:
        with _store().pipeline(transaction=False) as pipe:
            pipe.incrby(key, number)
            pipe.expire(key, 2 * window_seconds)  # the clocks of processes may differ
            if also:
                pipe.get(f"{settings.KEY_PREFIX}{also}")
            used, _, *before = pipe.execute()
            return used, int(before[0] or 0) if before else 0
    except (redis.RedisError, OSError) as error:
        _backoff.start()
        log.warning("rate limits: Valkey is away, so requests are not limited", error=repr(error))
        return None


def _store() -> redis.Redis:
    global _client
    with _client_lock:
        if _client is None:
            _client = valkey.client(settings.CACHE_URL, STORE_SECONDS_MAX)
    return _client
