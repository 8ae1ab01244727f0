"""Lanes: which queue carries a customer's line, and how to ring it.

A ring says only "look". It may be lost (the sweep rings again), doubled or late (there is nothing to do): the rows
are the truth. Rings are coalesced: per lane a set of the customers that rang, and a bell, which is up while a message
is in the queue or a worker is awake: then nobody else need be woken. A worker that is awake goes round all lanes until
nobody has rung (`answers`). RabbitMQ keeps no sets: there every ring is a message that names its customers, and only
this module knows.
"""

import time
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis
import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction

CUSTOMERS_A_TURN_MAX = 100  # as many as one Execute carries
BELL_SECONDS_MAX = 2  # a message that was lost keeps its lane silent no longer than this
LINGER_SECONDS = 0.01  # how long a turn that found more than one waits for more
AWAKE_SECONDS = 0.5  # how long after its last round a worker counts as awake; one that died in a turn, too
ROUNDS_SECONDS_MAX = 1.0  # how long a worker goes round before it hears what else Celery has to say
SILENCE_SECONDS = 1.0  # how long a process rings no more after the broker failed it

log = structlog.get_logger()
_client: redis.Redis | None = None
_silent_until = float("-inf")


def lane_of(customer_id: int) -> int:
    """The lane of a customer, 0 to LANES - 1: the same in every process and on every machine."""
    return zlib.crc32(str(customer_id).encode()) % settings.LANES


def queue_name(lane: int) -> str:
    """The Celery queue that carries a lane."""
    return f"lane-{lane:02d}"


def ring_on_commit(customer_ids: Iterable[int]) -> None:
    """`ring` once the transaction that is open has committed; at once where none is. Never raises."""
    customer_ids = list(customer_ids)
    transaction.on_commit(lambda: ring(customer_ids), robust=True)


def ring(customer_ids: Collection[int]) -> bool:
    """Tell these customers' lanes that there may be work. Again: the same. False: the broker could not be reached.

    Never raises and never waits for long: the sweep makes up for a ring that is lost.
    """
    global _silent_until
    if not customer_ids:
        return True
    if time.monotonic() < _silent_until:
        return False
    by_lane: dict[int, list[int]] = defaultdict(list)
    for customer_id in customer_ids:
        by_lane[lane_of(customer_id)].append(customer_id)
    try:
        if settings.BROKER_IS_RABBITMQ:
            _ring_by_name(by_lane)
        else:
            _ring_together(by_lane)
    except Exception as error:  # noqa: BLE001 — clients raise what they please when a broker dies under them
        _silent_until = time.monotonic() + SILENCE_SECONDS
        log.warning("ring failed; the sweep will ring", customers=len(customer_ids), error=repr(error))
        return False
    return True


def _ring_together(by_lane: Mapping[int, Collection[int]]) -> None:
    lanes = list(by_lane)
    keys = [key(lane) for lane in lanes for key in (_bell, _rang)]
    unrung = _broker().eval(
        RING, len(keys), *keys, BELL_SECONDS_MAX, *(" ".join(map(str, by_lane[lane])) for lane in lanes)
    )
    for number in unrung:
        _publish(lanes[number - 1])


def _ring_by_name(by_lane: Mapping[int, Sequence[int]]) -> None:
    for lane, customer_ids in by_lane.items():
        for start in range(0, len(customer_ids), CUSTOMERS_A_TURN_MAX):
            _publish(lane, customer_ids=customer_ids[start : start + CUSTOMERS_A_TURN_MAX])


def answers(lane: int, named: Sequence[int] = ()) -> Iterator[list[int]]:
    """Who rang, set after set, each to be given a turn, until nobody has. Who rings meanwhile is in the next set.

    named: those whom the message names, which with RabbitMQ are all who rang. Raises RedisError.
    """
    if settings.BROKER_IS_RABBITMQ:
        if named:
            yield sorted(named)
        return
    ends_at = time.monotonic() + ROUNDS_SECONDS_MAX
    while True:
        customer_ids, lane = _round(lane)
        if not customer_ids:
            return
        yield sorted(customer_ids)
        if time.monotonic() > ends_at:
            _publish(lane)
            return


def answer(lane: int) -> list[int]:
    """Take one round's customers, up to CUSTOMERS_A_TURN_MAX who rang: this lane's, and where there is room left those
    of the other lanes too, for a worker serves them all and a larger set is a cheaper one. Raises RedisError."""
    return sorted(_round(lane)[0])


def _round(lane: int) -> tuple[set[int], int]:
    """Who is to have a turn, and with which lane the next round begins: where this one found no more room."""
    customer_ids, next_lane = _take(lane, 0)
    if 1 < len(customer_ids) < CUSTOMERS_A_TURN_MAX:
        # It is busy: a moment's wait for company makes each trade cheaper. Who rings alone does not wait.
        time.sleep(LINGER_SECONDS)
        company, next_lane = _take(lane, len(customer_ids))
        customer_ids |= company
    return customer_ids, next_lane


def _take(lane: int, taken: int) -> tuple[set[int], int]:
    lanes = [(lane + further) % settings.LANES for further in range(settings.LANES)]
    keys = [key(each) for each in lanes for key in (_bell, _rang, queue_name)]
    customer_ids, left, messages = _broker().eval(
        ANSWER, len(keys), *keys, CUSTOMERS_A_TURN_MAX, taken, int(AWAKE_SECONDS * 1000)
    )
    next_lane = lanes[left - 1] if left else lane
    if left and not messages:  # more than one worker can carry
        _publish(next_lane)
    return set(map(int, customer_ids)), next_lane


def depths() -> list[tuple[int, int]]:
    """Of each lane, how many messages are in its queue and how many customers rang. Raises RedisError."""
    with _broker().pipeline(transaction=False) as pipe:
        for lane in range(settings.LANES):
            pipe.llen(queue_name(lane))
            pipe.scard(_rang(lane))
        found = pipe.execute()
    return list(zip(found[::2], found[1::2], strict=True))


def _publish(lane: int, **more: Any) -> None:
    # A connection that RabbitMQ has closed is noticed by the first caller that uses it; each further try opens another,
    # to the next node.
    current_app.send_task(
        "trades.turn",
        kwargs={"lane": lane, **more},
        queue=queue_name(lane),
        retry=settings.BROKER_IS_RABBITMQ,
        retry_policy={
            "max_retries": len(settings.BROKER_URLS),
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
    )


def _broker() -> redis.Redis:
    global _client
    if settings.BROKER_IS_RABBITMQ:
        raise redis.ConnectionError("RabbitMQ keeps no sets")
    if _client is None:
        _client = redis.Redis.from_url(
            settings.BROKER_URL, socket_timeout=1, socket_connect_timeout=1, health_check_interval=5
        )
    return _client


# One call however many lanes ring; a pipeline of as many commands costs four times as much. Which bells were not up.
RING = """
    local unrung = {}
    for i = 1, #KEYS, 2 do
        for id in string.gmatch(ARGV[(i + 3) / 2], '%d+') do redis.call('SADD', KEYS[i + 1], id) end
        if redis.call('SET', KEYS[i], 1, 'NX', 'EX', ARGV[1]) then unrung[#unrung + 1] = (i + 1) / 2 end
    end
    return unrung
"""
# Sets are read and bells are put down in one step: whoever found a bell up had joined its set before.
ANSWER = """
    local most, taken, awake = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
    local customers, left, messages = {}, 0, 0
    for i = 1, #KEYS, 3 do
        local rang, queue = KEYS[i + 1], KEYS[i + 2]
        local room = most - taken - #customers
        if room > 0 then
            for _, id in ipairs(redis.call('SPOP', rang, room)) do customers[#customers + 1] = id end
        end
        if left == 0 and redis.call('SCARD', rang) > 0 then left, messages = (i + 2) / 3, redis.call('LLEN', queue) end
    end
    for i = 1, #KEYS, 3 do
        if taken + #customers > 0 then redis.call('SET', KEYS[i], 1, 'PX', awake) else redis.call('DEL', KEYS[i]) end
    end
    return {customers, left, messages}
"""


def _rang(lane: int) -> str:
    return f"rang:{queue_name(lane)}"


def _bell(lane: int) -> str:
    return f"bell:{queue_name(lane)}"
