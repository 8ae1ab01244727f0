"""Lanes and rings, on a real broker."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest
import redis

from accounts.models import Customer
from brokerage.celery import app
from tests.answers import post
from tests.people import take_rung_customers
from tests.races.at_once import eventually
from trades import lane
from trades.lane import CUSTOMERS_PER_TURN_MAX, collect_rings, lane_of, queue_key, queue_name, ring, ring_on_commit


@pytest.fixture(autouse=True)
def _sixteen_lanes(settings: Any) -> None:
    settings.LANES = 16


@pytest.fixture
def frozen_port() -> Iterator[int]:
    """Listen on a port, accept connections, and never respond."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def messages(number: int) -> list[dict[str, Any]]:
    """Return the messages in a lane's queue."""
    return [json.loads(raw) for raw in lane.broker().lrange(queue_key(number), 0, -1)]


def customers_of(number: int, count: int) -> list[int]:
    """Return the ids of this many customers of a lane."""
    found = (id for id in range(1, 1_000_000) if lane_of(id) == number)
    return [next(found) for _ in range(count)]


@pytest.mark.parametrize(("customer_id", "number"), [(1, 7), (2, 13), (3, 11), (1000, 7), (10**12, 0)])
def test_a_customers_lane_is_the_same_on_every_machine(customer_id: int, number: int) -> None:
    assert lane_of(customer_id) == number


def test_customers_spread_over_all_lanes() -> None:
    assert {lane_of(id) for id in range(1, 300)} == set(range(16))


def test_queues_have_names_of_one_length() -> None:
    assert [queue_name(0), queue_name(15)] == ["lane-00", "lane-15"]


def test_many_rings_make_one_message_and_lose_no_customer() -> None:
    customers = customers_of(3, 5)
    for customer in customers:
        for _ in range(4):
            assert ring([customer])
    assert len(messages(3)) == 1
    assert take_rung_customers(3) == customers


def test_a_message_goes_to_its_lanes_queue_only() -> None:
    ring(customers_of(3, 2))
    assert [len(messages(number)) for number in range(16)] == [0] * 3 + [1] + [0] * 12
    (message,) = messages(3)
    assert message["properties"]["delivery_info"]["routing_key"] == "lane-03"
    assert message["headers"]["task"] == "trades.turn"


def test_the_exchange_of_all_lanes_is_direct_with_one_key_a_queue() -> None:
    queues = app.conf.task_queues
    assert {queue.exchange.type for queue in queues} == {"direct"}
    assert [queue.routing_key for queue in queues] == [queue.name for queue in queues]
    assert len({queue.name for queue in queues}) == len(queues)


def test_a_batch_includes_customers_of_other_lanes() -> None:
    ring([*customers_of(1, 2), *customers_of(2, 2)])
    assert [len(messages(number)) for number in (1, 2, 3)] == [1, 1, 0]
    assert take_rung_customers(3) == sorted([*customers_of(1, 2), *customers_of(2, 2)])
    assert (take_rung_customers(1), take_rung_customers(2)) == ([], [])


def test_a_ring_while_a_worker_is_awake_waits_for_its_next_round() -> None:
    early, late = customers_of(3, 2)
    (elsewhere,) = customers_of(4, 1)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    ring([late, elsewhere])
    assert [len(messages(number)) for number in (3, 4)] == [1, 0]
    assert next(rounds) == sorted([late, elsewhere])
    assert list(rounds) == []


def test_a_ring_wakes_a_worker_that_waits_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    early, late, elsewhere = [*customers_of(3, 2), *customers_of(4, 1)]
    monkeypatch.setattr(lane, "WAIT_SECONDS", 0.9)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, rounds)
        eventually(lambda: lane.broker().get(lane.bell_key(4)) == lane.wake_key().encode())
        began = time.monotonic()
        ring([late, elsewhere])
        assert waiting.result() == sorted([late, elsewhere])
        assert time.monotonic() - began < 0.5
    assert [len(messages(number)) for number in (3, 4)] == [1, 0]
    assert list(rounds) == []
    assert not lane.broker().keys("*bell*") + lane.broker().keys("*wake*")


def test_another_worker_takes_over_from_one_that_died_while_it_waited(
    another_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = customers_of(3, 2)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    with monkeypatch.context() as here:
        here.setattr(redis.Redis, "blpop", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            next(rounds)
    ring([late])
    assert len(messages(3)) == 1
    assert list(another_worker(3)) == []
    time.sleep(lane.AWAKE_SECONDS + 0.05)
    ring([late])
    assert len(messages(3)) == 2
    assert list(another_worker(3)) == [[late]]


def test_a_ring_while_all_workers_sleep_wakes_one() -> None:
    (customer,) = customers_of(3, 1)
    ring([customer])
    assert list(collect_rings(3)) == [[customer]]
    ring([customer])
    assert len(messages(3)) == 2


def test_a_ring_after_a_worker_died_wakes_another_soon() -> None:
    early, late = customers_of(3, 2)
    ring([early])
    take_rung_customers(3)
    ring([late])
    assert len(messages(3)) == 1
    time.sleep(lane.AWAKE_SECONDS + 0.05)  # the broker's clock has milliseconds
    ring([early])
    assert len(messages(3)) == 2
    assert take_rung_customers(3) == [early, late]


def test_a_busy_worker_continues_through_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "COLLECT_SECONDS_MAX", 0)
    (customer,) = customers_of(3, 1)
    ring([customer])
    assert list(collect_rings(3)) == [[customer]]
    assert len(messages(3)) == 2


def test_a_batch_is_limited_and_wakes_another_worker_if_a_full_batch_remains() -> None:
    customers = customers_of(3, 2 * CUSTOMERS_PER_TURN_MAX + 50)
    ring(customers)
    lane.broker().delete(queue_key(3))  # as if a worker had taken its message
    rounds = collect_rings(3)
    first = next(rounds)
    assert len(first) == CUSTOMERS_PER_TURN_MAX
    assert first == sorted(first)
    assert len(messages(3)) == 1
    lane.broker().delete(queue_key(3))
    second = next(rounds)
    assert len(second) == CUSTOMERS_PER_TURN_MAX
    assert messages(3) == [], "the rest is the next batch of this worker"
    assert sorted([*first, *second, *next(rounds)]) == customers


@pytest.fixture
def another_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Iterator[list[int]]]:
    """Collect rings as a worker of another process does."""

    def collect(number: int) -> Iterator[list[int]]:
        rounds = collect_rings(number)
        while True:
            with monkeypatch.context() as here:
                here.setattr(lane, "WORKER", "another")
                batch = next(rounds, None)
            if batch is None:
                return
            yield batch

    return collect


def test_another_worker_leaves_a_partial_batch_to_the_active_one(another_worker: Any) -> None:
    early, *late = customers_of(3, CUSTOMERS_PER_TURN_MAX)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    ring(late)
    assert list(another_worker(3)) == []
    assert len(messages(3)) == 1, "a ring now need not wake a worker"
    ring([early])
    assert len(messages(3)) == 1
    assert next(rounds) == [early, *late]


def test_another_worker_helps_while_whole_batches_wait(another_worker: Any) -> None:
    first, *crowd = customers_of(3, 2 * CUSTOMERS_PER_TURN_MAX + 51)
    ring([first])
    rounds = collect_rings(3)
    assert next(rounds) == [first]
    ring(crowd)
    helped = list(another_worker(3))
    assert [len(batch) for batch in helped] == [CUSTOMERS_PER_TURN_MAX] * 2
    assert sorted([*helped[0], *helped[1], *next(rounds)]) == crowd


def test_another_worker_takes_over_from_one_that_died(another_worker: Any) -> None:
    early, late = customers_of(3, 2)
    ring([early])
    assert take_rung_customers(3) == [early]  # as if the worker died in this turn
    ring([late])
    assert list(another_worker(3)) == []
    time.sleep(lane.AWAKE_SECONDS + 0.05)
    assert list(another_worker(3)) == [[late]]


def test_a_worker_that_releases_the_lanes_lets_another_continue(
    another_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = customers_of(3, 3)
    with monkeypatch.context() as here:
        here.setattr(lane, "COLLECT_SECONDS_MAX", 0)
        ring(customers[:1])
        assert list(collect_rings(3)) == [customers[:1]]
    ring(customers[1:])
    assert len(messages(3)) == 2, "one for the ring, and one for the release"
    assert list(another_worker(3)) == [customers[1:]]


def test_a_worker_that_finds_another_in_its_place_goes_to_sleep(another_worker: Any) -> None:
    early, late = customers_of(3, 2)
    ring([early])
    slow = collect_rings(3)
    assert next(slow) == [early]
    time.sleep(lane.AWAKE_SECONDS + 0.05)  # its turn takes long, so a ring wakes another worker
    ring([late])
    other = another_worker(3)
    assert next(other) == [late]
    ring([early])
    assert list(slow) == []
    assert next(other) == [early]


def test_the_next_round_continues_where_the_last_one_stopped() -> None:
    crowd, few = customers_of(3, 3 * CUSTOMERS_PER_TURN_MAX), customers_of(5, 2)
    ring([*crowd, *few, *customers_of(4, CUSTOMERS_PER_TURN_MAX)])
    rounds = collect_rings(4)
    assert next(rounds) == customers_of(4, CUSTOMERS_PER_TURN_MAX)
    ring(customers_of(4, CUSTOMERS_PER_TURN_MAX))
    assert set(few) < set(next(rounds)), "lane 4, which is full again, does not keep lane 5 waiting"


def test_remaining_customers_are_rung_for_once() -> None:
    ring(customers_of(3, 3 * CUSTOMERS_PER_TURN_MAX))
    take_rung_customers(3)
    take_rung_customers(3)
    assert len(messages(3)) == 1


def test_a_duplicated_message_finds_no_customers() -> None:
    ring(customers_of(3, 1))
    take_rung_customers(3)
    assert take_rung_customers(3) == []


def test_ringing_for_no_customers_does_nothing() -> None:
    assert ring([])
    assert not lane.broker().keys("*lane*")


def test_a_failed_ring_is_logged_once_in_a_while(broker_at: Any, settings: Any) -> None:
    there = settings.BROKER_URL
    broker_at(1)
    assert not ring([1])
    settings.BROKER_URL = there
    lane.broker_backoff.start(60)
    assert not ring([1])
    assert take_rung_customers(lane_of(1)) == []
    lane.broker_backoff.stop()
    assert ring([1])
    assert take_rung_customers(lane_of(1)) == [1]


def test_an_unresponsive_broker_delays_only_one_ring_and_briefly(broker_at: Any, frozen_port: int) -> None:
    broker_at(frozen_port)
    began = time.monotonic()
    assert not ring([1])
    assert time.monotonic() - began < 5
    assert lane.broker_backoff.is_active
    lane.broker_backoff.start(60)
    began = time.monotonic()
    assert not any(ring([customer]) for customer in range(1, 1000))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("away", ["closed", "frozen"])
def test_a_trade_is_placed_while_the_broker_is_away(
    alice: Customer,
    api_of: Any,
    broker_at: Any,
    frozen_port: int,
    away: str,
    django_capture_on_commit_callbacks: Any,
) -> None:
    client = api_of(alice)
    broker_at(frozen_port if away == "frozen" else 1)
    began = time.monotonic()
    with django_capture_on_commit_callbacks(execute=True) as rings:
        answer = post(client, "/api/v1/trades", {"stockTicker": "AAPL", "type": "BUY", "quantity": 1})
    assert (answer.status_code, len(rings)) == (201, 1)
    assert time.monotonic() - began < 5


def test_a_ring_on_commit_is_heard_after_the_commit(db: None, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        ring_on_commit(iter([5]))
        assert take_rung_customers(lane_of(5)) == []
    assert take_rung_customers(lane_of(5)) == [5]


def test_with_rabbitmq_a_message_without_customers_starts_no_turn(settings: Any) -> None:
    settings.BROKER_IS_RABBITMQ = True
    assert list(collect_rings(3)) == []
    assert list(collect_rings(3, [7, 5])) == [[5, 7]]
