"""Lanes: ring a customer's lane, and collect the rings.

A ring says only "there may be work for this customer". It may get lost (the sweep rings again), or arrive twice or late
(then there is nothing to do), because the rows in the database are the truth.

Rings are coalesced. Each lane has a set of the customers that have rung, and a bell. The bell is up while a message
is in the lane's queue or a worker is awake; a ring then needs no further message. An awake worker visits all lanes
until no customer is left (`collect_rings`). It puts the key of a list on their bells, to which the next ring adds, and
before it goes to sleep it waits a moment at that list, because a message costs more than everything else about a ring.
A second worker helps only while a whole batch is waiting, because small batches on many workers would make every trade
more expensive. RabbitMQ has no sets, so there each ring is a message that names its customers. No other module knows
the difference.
"""

import time
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import transaction

from trades.broker import broker, broker_backoff, publish
from trades.ring_scripts import HAND_OVER, POP, RING

CUSTOMERS_PER_TURN_MAX = 100  # the trades that one Execute can carry
BELL_SECONDS_MAX = 2  # the longest that a lane stays silent after its message was lost
LINGER_SECONDS = 0.01  # how long a worker that has found more than one customer waits for more of them
WAIT_SECONDS = 0.2  # how long a worker waits for the next ring before it goes to sleep
AWAKE_SECONDS = 0.5  # how long a worker counts as awake after it collected a batch, even if it died meanwhile
WORKER = uuid4().hex  # this process, in the key that it puts on bells
COLLECT_SECONDS_MAX = 1.0  # how long a worker collects rings before it returns control to Celery

log = structlog.get_logger()
_lanes_served: frozenset[int] | None = None


def lane_of(customer_id: int) -> int:
    """Return the number of a customer's lane, 0 to LANES - 1: the same in every process and on every host."""
    return zlib.crc32(str(customer_id).encode()) % settings.LANES


def queue_name(lane: int) -> str:
    """Return the name of the Celery queue that carries a lane."""
    return f"lane-{lane:02d}"


def ring_on_commit(customer_ids: Iterable[int]) -> None:
    """Ring once the current transaction has committed, or at once if there is none. Never raises."""
    customer_ids = list(customer_ids)
    transaction.on_commit(lambda: ring(customer_ids), robust=True)


def ring(customer_ids: Collection[int]) -> bool:
    """Tell these customers' lanes that there may be work.

    Never raises and never waits long, because the sweep makes up for a lost ring.

    Idempotent: yes.

    Returns:
        Whether the broker could be reached.
    """
    if not customer_ids:
        return True
    if broker_backoff.is_active:
        return False
    by_lane: dict[int, list[int]] = defaultdict(list)
    for customer_id in customer_ids:
        by_lane[lane_of(customer_id)].append(customer_id)
    try:
        if settings.BROKER_IS_RABBITMQ:
            _ring_rabbitmq(by_lane)
        else:
            _ring_valkey(by_lane)
    except Exception as error:  # noqa: BLE001 — clients raise all kinds of errors when the broker dies
        broker_backoff.start()
        log.warning("ring failed; the sweep will ring again", customers=len(customer_ids), error=repr(error))
        return False
    return True


def _ring_valkey(by_lane: Mapping[int, Collection[int]]) -> None:
    lanes = list(by_lane)
    keys = [key(lane) for lane in lanes for key in (bell_key, rung_key)]
    unserved_lanes = broker().eval(
        RING, len(keys), *keys, BELL_SECONDS_MAX, *(" ".join(map(str, by_lane[lane])) for lane in lanes)
    )
    for number in unserved_lanes:
        _send_message(lanes[number - 1])


def _ring_rabbitmq(by_lane: Mapping[int, Sequence[int]]) -> None:
    for lane, customer_ids in by_lane.items():
        for start in range(0, len(customer_ids), CUSTOMERS_PER_TURN_MAX):
            _send_message(lane, customer_ids=customer_ids[start : start + CUSTOMERS_PER_TURN_MAX])


def collect_rings(lane: int, named_customers: Sequence[int] = ()) -> Iterator[list[int]]:
    """Yield batches of customers that have rung, until no one is left.

    A batch has up to CUSTOMERS_PER_TURN_MAX customers: first those of this lane, then those of the other lanes that
    this worker serves, because a larger batch is cheaper per trade. Customers that ring meanwhile come in a later
    batch.

    Args:
        lane: The lane to begin with.
        named_customers: The customers that the message names; with RabbitMQ, all that have rung.

    Raises:
        RedisError: The broker failed.
    """
    if settings.BROKER_IS_RABBITMQ:
        if named_customers:
            yield sorted(named_customers)
        return
    ends_at = time.monotonic() + COLLECT_SECONDS_MAX
    customer_ids, lane, may_wait = _collect_batch(lane)
    while customer_ids:
        may_wait_until = time.monotonic() + AWAKE_SECONDS - WAIT_SECONDS
        yield sorted(customer_ids)
        if time.monotonic() > ends_at:
            _hand_over(lane)
            return
        if may_wait and time.monotonic() < may_wait_until:
            broker().blpop([wake_key()], WAIT_SECONDS)  # returns at once if someone has rung meanwhile
        customer_ids, lane, may_wait = _collect_batch(lane)


def _collect_batch(lane: int) -> tuple[set[int], int, bool]:
    """Return the next batch, and what `_pop_customers` says about the following one."""
    customer_ids, next_lane, may_wait = _pop_customers(lane)
    if 1 < len(customer_ids) < CUSTOMERS_PER_TURN_MAX:
        # When trading is busy, a short wait for more customers makes each trade cheaper. A single customer never waits.
        time.sleep(LINGER_SECONDS)
        more, next_lane, may_wait = _pop_customers(lane, len(customer_ids))
        customer_ids |= more
    return customer_ids, next_lane, may_wait


def serve_only(lanes: Iterable[int]) -> None:
    """Restrict this worker process to these lanes. Without this call it serves all of them."""
    global _lanes_served
    _lanes_served = frozenset(lanes)


def _pop_customers(lane: int, collected: int = 0) -> tuple[set[int], int, bool]:
    """Return customers that have rung, the lane to begin the next time with, and whether to wait for a ring first.

    The next time begins with the first lane that still has customers. If there is none, and no other worker is awake,
    this one may wait.
    """
    lanes, keys = _lanes_from(lane, _lanes_served, settings.LANES)
    limits = CUSTOMERS_PER_TURN_MAX, collected, int(AWAKE_SECONDS * 1000)
    customer_ids, next_place, needs_another_worker, may_wait = broker().eval(POP, len(keys), *keys, *limits, wake_key())
    next_lane = lanes[next_place - 1] if next_place else lane
    if needs_another_worker:
        _send_message(next_lane)
    return set(map(int, customer_ids)), next_lane, bool(may_wait)


@lru_cache(256)  # it makes three names for each lane
def _lanes_from(lane: int, served: frozenset[int] | None, count: int) -> tuple[Sequence[int], Sequence[str]]:
    """Return the lanes that this worker serves, beginning with this one, and the keys that POP needs of them."""
    lanes = [(lane + offset) % count for offset in range(count)]
    lanes = [number for number in lanes if served is None or number in served]
    return lanes, [key(number) for number in lanes for key in (bell_key, rung_key, queue_key)]


def _hand_over(lane: int) -> None:
    """Leave the lanes to the worker that takes the next message."""
    broker().eval(HAND_OVER, settings.LANES, *map(bell_key, range(settings.LANES)), BELL_SECONDS_MAX, wake_key())
    _send_message(lane)


def _send_message(lane: int, **more: Any) -> None:
    publish("trades.turn", queue_name(lane), lane=lane, **more)


def rung_key(lane: int) -> str:
    """Return the key of the set of a lane's customers that have rung."""
    return f"{settings.KEY_PREFIX}rang:{queue_name(lane)}"


def bell_key(lane: int) -> str:
    """Return the key of a lane's bell."""
    return f"{settings.KEY_PREFIX}bell:{queue_name(lane)}"


def wake_key() -> str:
    """Return the key of the list on which this worker waits. RING knows it by `wake:`."""
    return f"{settings.KEY_PREFIX}wake:{WORKER}"


def queue_key(lane: int) -> str:
    """Return the key of the list in which Celery's transport keeps a lane's messages."""
    return f"{settings.KEY_PREFIX}{queue_name(lane)}"
