"""Workers on a real RabbitMQ: one of three is active, and another takes over when it dies or freezes."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import psycopg
import pytest

from chaos.checker import gather, violations, wait_until_final
from chaos.crowd import Crowd
from chaos.record import Record, now
from chaos.site import open_accounts
from local.harness import Brokerage
from tests.rabbitmq.server import RabbitMQ, is_installed

CUSTOMERS, RATE = 40, 12.0
LANES = 16
TAKE_OVER_SECONDS_MAX = 20.0
"""After a kill. docs/how-to/operate.md gives the time on a quiet machine."""
FREEZE_SECONDS = 25.0
"""RabbitMQ drops a silent worker a little after two heartbeats of 5 s."""

pytestmark = [pytest.mark.rabbitmq, pytest.mark.skipif(not is_installed(), reason="RabbitMQ is not installed")]


class Scenario:
    """A brokerage on RabbitMQ under load; its history tells which worker took which turn."""

    def __init__(self, brokerage: Brokerage, rabbitmq: RabbitMQ, folder: Path) -> None:
        self.brokerage, self.rabbitmq, self.log = brokerage, rabbitmq, Record(folder)
        self.database_url = brokerage.environment["DATABASE_URL"]
        self.accounts = open_accounts(brokerage, [Decimal(50_000)] * CUSTOMERS, folder.name.replace("_", "-"))

    def changes_since(self, moment: float) -> list[tuple[int, str, float]]:
        """Return lane, worker and time of each status change that a lane's worker has made since that moment."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(
                "SELECT customer_id, by, extract(epoch FROM at)::float8 FROM trades_statuschange"
                " WHERE at > to_timestamp(%s) AND by LIKE 'lanes.%%' ORDER BY at",
                [moment],
            ).fetchall()
        return [(crc32(str(customer).encode()) % LANES, by, at) for customer, by, at in rows]

    def workers_since(self, moment: float) -> dict[int, set[str]]:
        """Return the workers of each lane since that moment."""
        workers_of: dict[int, set[str]] = defaultdict(set)
        for lane, by, _ in self.changes_since(moment):
            workers_of[lane].add(by)
        return workers_of

    def leader(self) -> tuple[str, set[int]]:
        """Return the worker that now serves the most lanes, and its lanes."""
        lanes: dict[str, set[int]] = defaultdict(set)
        for lane, workers in self.eventually(lambda: self.workers_since(now() - 3)).items():
            for worker in workers:
                lanes[worker].add(lane)
        return max(lanes.items(), key=lambda item: len(item[1]))

    def take_over(self, lanes: set[int], leader: str, moment: float, seconds_max: float) -> float:
        """Wait until another worker serves one of these lanes; return how many seconds after `moment` it began."""

        def times_of_other_workers() -> list[float]:
            return [at for lane, by, at in self.changes_since(moment) if lane in lanes and by != leader]

        return float(self.eventually(times_of_other_workers, seconds_max)[0]) - moment

    def eventually(self, condition: Callable[[], Any], seconds_max: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds_max
        while not (result := condition()):
            assert time.monotonic() < deadline, self.brokerage.output()[-3000:]
            time.sleep(0.1)
        return result

    def violations(self) -> list[str]:
        evidence = gather(self.accounts, self.log, self.database_url, self.brokerage.exchange_url)
        assert len(evidence.trades) > RATE
        return violations(evidence)


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as rabbitmq:
        yield rabbitmq


@pytest.fixture(scope="module")
def brokerage(rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokerage]:
    folder = tmp_path_factory.mktemp("ring") / "var"
    with Brokerage(folder, {"web": 1, "lanes": 3, "sweep": 1}, {"BROKER_URL": rabbitmq.url}) as brokerage:
        yield brokerage


@pytest.fixture
def scenario(brokerage: Brokerage, rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Scenario]:
    """Put the brokerage under load during the test, and check everything that the customers did at the end."""
    scenario = Scenario(brokerage, rabbitmq, tmp_path)
    crowd = Crowd(brokerage.url, scenario.accounts, scenario.log, seed=1, rate=RATE)
    crowd.start()
    yield scenario
    crowd.stop()
    wait_until_final(scenario.database_url)
    scenario.log.close()
    assert scenario.violations() == []


def test_each_lane_has_one_worker_and_another_takes_over_when_it_is_killed(scenario: Scenario) -> None:
    assert "celery_delayed" not in scenario.rabbitmq.control("list_queues", "name")
    seconds = []
    for _ in range(2):
        leader, lanes = scenario.leader()
        started_at = now()
        time.sleep(3)
        assert all(len(workers) == 1 for workers in scenario.workers_since(started_at).values()), (
            "the other workers stand by"
        )
        scenario.brokerage.kill(leader)
        killed_at = now()
        seconds.append(scenario.take_over(lanes, leader, killed_at, TAKE_OVER_SECONDS_MAX))
    print(f"take-over after kill -9: {', '.join(f'{s:.2f} s' for s in seconds)}")


def test_a_frozen_leader_is_replaced_and_causes_no_violation_when_it_resumes(scenario: Scenario) -> None:
    leader, lanes = scenario.leader()
    scenario.brokerage.kill(leader, signal.SIGSTOP)
    frozen_at = now()
    seconds = scenario.take_over(lanes, leader, frozen_at, FREEZE_SECONDS + TAKE_OVER_SECONDS_MAX)
    print(f"take-over after a freeze: {seconds:.2f} s")
    time.sleep(max(0.0, frozen_at + FREEZE_SECONDS - now()))
    scenario.brokerage.kill(leader, signal.SIGCONT)
    resumed_at = now()
    scenario.eventually(lambda: scenario.changes_since(resumed_at))
    time.sleep(3)


def test_trades_continue_without_the_broker_and_lanes_continue_once_it_is_back(scenario: Scenario) -> None:
    scenario.leader()
    scenario.rabbitmq.kill()
    started_at = now()
    filled = "SELECT FROM trades_trade WHERE claimed_at > to_timestamp(%s) AND status = 'FILLED' LIMIT 1"
    with psycopg.connect(scenario.database_url, autocommit=True) as connection:
        scenario.eventually(lambda: connection.execute(filled, [started_at + 1]).fetchone() is not None)
    scenario.rabbitmq.start()
    restarted_at = now()
    scenario.eventually(lambda: scenario.changes_since(restarted_at), 90)
