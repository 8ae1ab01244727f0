"""Lanes and rings, with a real broker."""

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
from tests.people import take_rung_customers
from tests.races.concurrency import eventually
from tests.responses import post
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
    ids = (id for id in range(1, 1_000_000) if lane_of(id) == number)
    return [next(ids) for _ in range(count)]


@pytest.mark.parametrize(("customer_id", "number"), [(1, 7), (2, 13), (3, 11), (1000, 7), (10**12, 0)])
def test_a_customers_lane_depends_only_on_their_id(customer_id: int, number: int) -> None:
    assert lane_of(customer_id) == number


def test_customers_spread_over_all_lanes() -> None:
    assert {lane_of(id) for id in range(1, 300)} == set(range(16))


def test_queue_names_have_the_same_length() -> None:
    assert [queue_name(0), queue_name(15)] == ["lane-00", "lane-15"]


def test_many_rings_send_one_message_and_lose_no_customer() -> None:
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


def test_all_lanes_share_a_direct_exchange_with_one_routing_key_per_queue() -> None:
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
    (in_another_lane,) = customers_of(4, 1)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    ring([late, in_another_lane])
    assert [len(messages(number)) for number in (3, 4)] == [1, 0]
    assert next(rounds) == sorted([late, in_another_lane])
    assert list(rounds) == []


def test_a_ring_wakes_a_waiting_worker_without_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    early, late, in_another_lane = [*customers_of(3, 2), *customers_of(4, 1)]
    monkeypatch.setattr(lane, "AWAKE_SECONDS", 2.0)
    monkeypatch.setattr(lane, "WAIT_SECONDS", 0.9)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, rounds)
        eventually(lambda: any(client["cmd"] == "blpop" for client in lane.broker().client_list()))
        started_at = time.monotonic()
        ring([late, in_another_lane])
        assert waiting.result() == sorted([late, in_another_lane])
        assert time.monotonic() - started_at < 0.5
    assert [len(messages(number)) for number in (3, 4)] == [1, 0]
    assert list(rounds) == []
    assert not lane.broker().keys("*bell*") + lane.broker().keys("*wake*")


def test_many_rings_during_a_turn_wake_the_worker_once() -> None:
    early, *late = customers_of(3, 4)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    for customer in late:
        ring([customer])
    assert lane.broker().llen(lane.wake_key()) == 1
    assert next(rounds) == late
    assert not lane.broker().exists(lane.wake_key())


def test_another_worker_takes_over_from_one_that_died_while_waiting(
    another_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = customers_of(3, 2)
    ring([early])
    rounds = collect_rings(3)
    assert next(rounds) == [early]
    with monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "blpop", Mock(side_effect=KeyboardInterrupt))
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
    time.sleep(lane.AWAKE_SECONDS + 0.05)  # the broker's clock counts in milliseconds
    ring([early])
    assert len(messages(3)) == 2
    assert take_rung_customers(3) == [early, late]


def test_a_worker_that_has_used_up_its_time_leaves_a_message_for_the_next_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    assert messages(3) == [], "this worker collects the remaining customers itself"
    assert sorted([*first, *second, *next(rounds)]) == customers


@pytest.fixture
def another_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Iterator[list[int]]]:
    """Provide a function that collects rings like a worker in another process."""

    def collect(number: int) -> Iterator[list[int]]:
        rounds = collect_rings(number)
        while True:
            with monkeypatch.context() as patch:
                patch.setattr(lane, "WORKER", "another")
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
    assert len(messages(3)) == 1, "no worker needs waking for these rings"
    ring([early])
    assert len(messages(3)) == 1
    assert next(rounds) == [early, *late]


def test_another_worker_helps_while_whole_batches_wait(another_worker: Any) -> None:
    first, *crowd = customers_of(3, 2 * CUSTOMERS_PER_TURN_MAX + 51)
    ring([first])
    rounds = collect_rings(3)
    assert next(rounds) == [first]
    ring(crowd)
    batches = list(another_worker(3))
    assert [len(batch) for batch in batches] == [CUSTOMERS_PER_TURN_MAX] * 2
    assert sorted([*batches[0], *batches[1], *next(rounds)]) == crowd


def test_another_worker_takes_over_from_one_that_died(another_worker: Any) -> None:
    early, late = customers_of(3, 2)
    ring([early])
    assert take_rung_customers(3) == [early]  # as if the worker had died in this turn
    ring([late])
    assert list(another_worker(3)) == []
    time.sleep(lane.AWAKE_SECONDS + 0.05)
    assert list(another_worker(3)) == [[late]]


def test_a_worker_that_releases_the_lanes_lets_another_continue(
    another_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = customers_of(3, 3)
    with monkeypatch.context() as patch:
        patch.setattr(lane, "COLLECT_SECONDS_MAX", 0)
        ring(customers[:1])
        assert list(collect_rings(3)) == [customers[:1]]
    ring(customers[1:])
    assert len(messages(3)) == 2, "one message for the ring, and one for the release"
    assert list(another_worker(3)) == [customers[1:]]


def test_a_worker_that_was_replaced_goes_to_sleep(another_worker: Any) -> None:
    early, late = customers_of(3, 2)
    ring([early])
    first_worker = collect_rings(3)
    assert next(first_worker) == [early]
    time.sleep(lane.AWAKE_SECONDS + 0.05)  # the turn takes so long that the next ring wakes another worker
    ring([late])
    second_worker = another_worker(3)
    assert next(second_worker) == [late]
    ring([early])
    assert list(first_worker) == []
    assert next(second_worker) == [early]


def test_the_next_round_continues_where_the_last_one_stopped() -> None:
    crowd, in_lane_5 = customers_of(3, 3 * CUSTOMERS_PER_TURN_MAX), customers_of(5, 2)
    ring([*crowd, *in_lane_5, *customers_of(4, CUSTOMERS_PER_TURN_MAX)])
    rounds = collect_rings(4)
    assert next(rounds) == customers_of(4, CUSTOMERS_PER_TURN_MAX)
    ring(customers_of(4, CUSTOMERS_PER_TURN_MAX))
    assert set(in_lane_5) < set(next(rounds)), "lane 5 must not wait although lane 4 is full again"


def test_remaining_customers_get_one_message() -> None:
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


def test_after_a_failed_ring_no_ring_is_tried_until_the_backoff_ends(broker_at: Any, settings: Any) -> None:
    real_url = settings.BROKER_URL
    broker_at(1)
    assert not ring([1])
    settings.BROKER_URL = real_url
    lane.broker_backoff.start(60)
    assert not ring([1])
    assert take_rung_customers(lane_of(1)) == []
    lane.broker_backoff.stop()
    assert ring([1])
    assert take_rung_customers(lane_of(1)) == [1]


def test_an_unresponsive_broker_delays_only_one_ring_and_briefly(broker_at: Any, frozen_port: int) -> None:
    broker_at(frozen_port)
    started_at = time.monotonic()
    assert not ring([1])
    assert time.monotonic() - started_at < 5
    assert lane.broker_backoff.is_active
    lane.broker_backoff.start(60)
    started_at = time.monotonic()
    assert not any(ring([customer]) for customer in range(1, 1000))
    assert time.monotonic() - started_at < 1


@pytest.mark.parametrize("fault", ["closed", "frozen"])
def test_a_trade_is_placed_while_the_broker_is_unavailable(
    alice: Customer,
    api_of: Any,
    broker_at: Any,
    frozen_port: int,
    fault: str,
    django_capture_on_commit_callbacks: Any,
) -> None:
    client = api_of(alice)
    broker_at(frozen_port if fault == "frozen" else 1)
    started_at = time.monotonic()
    with django_capture_on_commit_callbacks(execute=True) as rings:
        response = post(client, "/api/v1/trades", {"stockTicker": "AAPL", "type": "BUY", "quantity": 1})
    assert (response.status_code, len(rings)) == (201, 1)
    assert time.monotonic() - started_at < 5


def test_a_ring_on_commit_is_sent_after_the_commit(db: None, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        ring_on_commit(iter([5]))
        assert take_rung_customers(lane_of(5)) == []
    assert take_rung_customers(lane_of(5)) == [5]


def test_with_rabbitmq_a_message_without_customers_starts_no_turn(settings: Any) -> None:
    settings.BROKER_IS_RABBITMQ = True
    assert list(collect_rings(3)) == []
    assert list(collect_rings(3, [7, 5])) == [[5, 7]]
