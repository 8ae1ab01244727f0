"""The opening bell: ring for customers with queued trades once the market is open.

While the market is closed, nothing is read. After the opening, each round rings for the next customers, in order of id,
but lets only so many wait that the lanes serve them within about a second. So a new order, and the exchange's report on
a trade, wait behind a few customers and not behind a million queued trades. After the last customer it starts over with
the first, which makes up for lost rings.
"""

import time

import structlog
from redis.exceptions import RedisError

from exchange import market
from trades import backlog, queries
from trades.controls import rules
from trades.lane import CUSTOMERS_PER_TURN_MAX, ring
from trades.turn import take_turn

WAITING_MIN = 2 * CUSTOMERS_PER_TURN_MAX  # customers; enough for a full turn while the next round is due
WAITING_MAX = 2_000
IDLE_SECONDS = 1.0  # the pause after a round that found no queued trade: they are placed while the market is closed
ACT_AFTER_SECONDS = 3  # if that many have waited for this long, the sweep takes turns itself

log = structlog.get_logger()


class OpeningBell:
    """Rings for customers with queued trades, some in each round, and remembers where it stopped.

    The number of customers that it lets wait follows the lanes. If they have served nearly all of them before the next
    round, it doubles; if they have served less than a quarter, it halves.
    """

    def __init__(self, waiting_min: int = WAITING_MIN, waiting_max: int = WAITING_MAX) -> None:
        self._min, self._max = waiting_min, waiting_max
        self._wanted = waiting_min
        self._after = 0  # the last customer that it rang for
        self._rung_at: float | None = None
        self._idle_until = 0.0

    def ring(self, by: str) -> int:
        """Do what `ring_for_queued` describes."""
        if time.monotonic() < self._idle_until or not market.is_open():
            return 0
        waiting = _waiting()
        self._adapt(waiting)
        is_late = self._rung_at is not None and time.monotonic() - self._rung_at > ACT_AFTER_SECONDS
        if waiting >= self._wanted and not is_late:
            return 0
        number = self._min if is_late else self._wanted - waiting
        customer_ids, due = queries.queued_customers(rules(), self._after, number)
        if not customer_ids and self._after == 0:
            self._idle_until = time.monotonic() + IDLE_SECONDS
        is_rung = ring(due)
        if due and (is_late or not is_rung):
            log.warning("no lane took a turn at the opening bell; the sweep takes it", customers=len(due))
            take_turn(due[:CUSTOMERS_PER_TURN_MAX], by)
        self._after = customer_ids[-1] if len(customer_ids) == number else 0
        self._rung_at = time.monotonic()
        return len(due)

    def _adapt(self, waiting: int) -> None:
        if self._rung_at is None:
            return
        if waiting < self._wanted / 8:
            self._wanted = min(2 * self._wanted, self._max)
        elif waiting > self._wanted * 3 / 4:
            self._wanted = max(self._wanted // 2, self._min)


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
