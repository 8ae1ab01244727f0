"""The opening bell: ring for the customers whose queued trades may now be claimed.

Nothing is read while the market is closed. From the opening on, each round rings for the next batch of customers, in
order of id, and only as fast as the lanes can serve them. So a new order waits behind one batch, and not behind a
million queued trades. After the last customer the bell starts again from the first, which makes up for lost rings.
"""

import time

import structlog
from redis.exceptions import RedisError

from exchange import market
from trades import backlog, queries
from trades.controls import rules
from trades.lane import CUSTOMERS_PER_TURN_MAX, ring
from trades.turn import take_turn

CUSTOMERS_PER_BATCH_MAX = 2_000
ACT_AFTER_SECONDS = 3  # when a full batch has waited for this long, the sweep takes turns itself

log = structlog.get_logger()


class Bell:
    """Rings for queued customers, one batch a round, and remembers where it stopped."""

    def __init__(self, customers_per_batch: int = CUSTOMERS_PER_BATCH_MAX) -> None:
        self._batch = customers_per_batch
        self._after = 0  # the last customer that it has rung for
        self._rung_at: float | None = None

    def ring(self, by: str) -> int:
        """Do what `ring_for_queued` says."""
        if not market.is_open():
            return 0
        is_late = self._rung_at is not None and time.monotonic() - self._rung_at > ACT_AFTER_SECONDS
        if _waiting() >= self._batch and not is_late:
            return 0
        seen, due = queries.queued_customers(rules(), self._after, self._batch)
        is_rung = ring(due)
        if due and (is_late or not is_rung):
            log.warning("no lane took a turn at the opening bell; the sweep takes it", customers=len(due))
            take_turn(due[:CUSTOMERS_PER_TURN_MAX], by)
        self._after = seen[-1] if len(seen) == self._batch else 0
        self._rung_at = time.monotonic()
        return len(due)


def ring_for_queued(by: str) -> int:
    """Ring for the next customers that have queued trades, if the market is open and the lanes have room.

    Takes a turn itself if no lane does, or if the broker is down.

    Idempotent: yes. Any number of sweeps may ring.

    Args:
        by: The process, for the trades' history.

    Returns:
        How many customers there were.
    """
    return _bell.ring(by)


_bell = Bell()


def _waiting() -> int:
    """Return how many customers have rung and wait for a turn; 0 where the broker can't tell."""
    try:
        return sum(customers for _, customers in backlog.depths())
    except (RedisError, OSError):
        return 0
