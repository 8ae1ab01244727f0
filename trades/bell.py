"""The opening bell: ring for customers with queued trades once the market is open.

While the market is closed, nothing is read. After the opening, each round rings for the next batch of customers, in
order of id, and only as fast as the lanes can serve them. A new order therefore waits behind one batch, not behind a
million queued trades. After the last customer it starts over with the first, which makes up for lost rings.
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
ACT_AFTER_SECONDS = 3  # if a full batch has waited this long, the sweep takes turns itself

log = structlog.get_logger()


class OpeningBell:
    """Rings for customers with queued trades, one batch per round, and remembers where it stopped."""

    def __init__(self, customers_per_batch: int = CUSTOMERS_PER_BATCH_MAX) -> None:
        self._batch = customers_per_batch
        self._after = 0  # the last customer that it rang for
        self._rung_at: float | None = None

    def ring(self, by: str) -> int:
        """Do what `ring_for_queued` describes."""
        if not market.is_open():
            return 0
        is_late = self._rung_at is not None and time.monotonic() - self._rung_at > ACT_AFTER_SECONDS
        if _waiting() >= self._batch and not is_late:
            return 0
        customer_ids, due = queries.queued_customers(rules(), self._after, self._batch)
        is_rung = ring(due)
        if due and (is_late or not is_rung):
            log.warning("no lane took a turn at the opening bell; the sweep takes it", customers=len(due))
            take_turn(due[:CUSTOMERS_PER_TURN_MAX], by)
        self._after = customer_ids[-1] if len(customer_ids) == self._batch else 0
        self._rung_at = time.monotonic()
        return len(due)


def ring_for_queued(by: str) -> int:
    """Ring for the next customers that have queued trades, if the market is open and the lanes have room.

    Takes a turn itself if no lane does, or if the broker is down.

    Idempotent: yes. Any number of sweeps may ring.

    Args:
        by: The process, for the trades' history.

    Returns:
        How many customers it rang for.
    """
    return _bell.ring(by)


_bell = OpeningBell()


def _waiting() -> int:
    """Return how many customers have rung and are waiting for a turn; 0 if the broker can't tell."""
    try:
        return sum(customers for _, customers in backlog.depths())
    except (RedisError, OSError):
        return 0
