"""Rings of workers on a real RabbitMQ: of three lanes one works, and when it dies, or freezes, another goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from brokerage.local.harness import Brokerage
from chaos.checker import gather, violations, wait_until_final
from chaos.crowd import Crowd
from chaos.record import Record, now
from chaos.site import open_accounts
from tests.rabbitmq.server import RabbitMQ, is_installed

CUSTOMERS, RATE = 40, 12.0
TAKE_OVER_SECONDS_MAX = 20.0
"""Of a killed one. How long it takes on a quiet machine is in docs/operations.md."""
FREEZE_SECONDS = 25.0
"""RabbitMQ gives a silent worker up after two heartbeats of 5 s, and a bit."""

pytestmark = [pytest.mark.story, pytest.mark.skipif(not is_installed(), reason="RabbitMQ is not installed")]


class Story:
    """A brokerage on RabbitMQ under load, and what its history says about who took turns."""

    def __init__(self, brokerage: Brokerage, rabbitmq: RabbitMQ, folder: Path) -> None:
        self.brokerage, self.rabbitmq, self.log = brokerage, rabbitmq, Record(folder)
        self.database_url = brokerage.environment["DATABASE_URL"]
        self.accounts = open_accounts(brokerage, [Decimal(50_000)] * CUSTOMERS, folder.name.replace("_", "-"))

    def workers_since(self, moment: float) -> list[str]:
        """Who moved trades since then, by falling number of moves; doors and sweeps left out."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(
                "SELECT by FROM trades_move WHERE at > to_timestamp(%s) AND by LIKE 'lanes.%%'"
                " GROUP BY by ORDER BY count(*) DESC",
                [moment],
            ).fetchall()
        return [by for (by,) in rows]

    def leader(self) -> str:
        return self.eventually(lambda: self.workers_since(now() - 2))[0]

    def take_over(self, moment: float, seconds_max: float) -> float:
        """Wait for a turn of a worker of the ring after that moment; how many seconds after it that was."""
        self.eventually(lambda: self.workers_since(moment), seconds_max)
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM min(at))::float8 FROM trades_move"
                " WHERE at > to_timestamp(%s) AND by LIKE 'lanes.%%'",
                [moment],
            ).fetchone()
        assert row
        return float(row[0]) - moment

    def eventually(self, look: Callable[[], Any], seconds_max: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds_max
        while not (found := look()):
            assert time.monotonic() < deadline, self.brokerage.output()[-3000:]
            time.sleep(0.1)
        return found

    def judge(self) -> list[str]:
        told = gather(self.accounts, self.log, self.database_url, self.brokerage.exchange_url)
        assert len(told.trades) > RATE
        return violations(told)


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
def story(brokerage: Brokerage, rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Story]:
    """All that the customers did is judged at the end."""
    story = Story(brokerage, rabbitmq, tmp_path)
    crowd = Crowd(brokerage.url, story.accounts, story.log, seed=1, rate=RATE)
    crowd.start()
    yield story
    crowd.stop()
    wait_until_final(story.database_url)
    assert story.judge() == []


def test_one_works_and_when_it_is_killed_another_goes_on(
    story: Story, record_property: Callable[[str, object], None]
) -> None:
    seconds = []
    for _ in range(2):
        leader = story.leader()
        began = now()
        time.sleep(2)
        assert story.workers_since(began) == [leader], "one works, the others stand by"
        story.brokerage.kill(leader)
        seconds.append(story.take_over(now(), TAKE_OVER_SECONDS_MAX))
        assert leader not in story.workers_since(now() - 0.5)
    record_property("take_over_seconds", seconds)
    print(f"take-over after kill -9: {', '.join(f'{s:.2f} s' for s in seconds)}")


def test_a_leader_that_freezes_is_replaced_and_does_no_harm_when_it_wakes_up(story: Story) -> None:
    leader = story.leader()
    frozen = now()
    story.brokerage.kill(leader, signal.SIGSTOP)
    print(f"take-over after a freeze: {story.take_over(frozen + 0.1, FREEZE_SECONDS + TAKE_OVER_SECONDS_MAX):.2f} s")
    time.sleep(max(0.0, frozen + FREEZE_SECONDS - now()))
    story.brokerage.kill(leader, signal.SIGCONT)
    woken = now()
    story.eventually(lambda: story.workers_since(woken))
    time.sleep(3)


def test_trades_go_on_while_the_broker_is_away_and_faster_when_it_is_back(story: Story) -> None:
    story.leader()
    story.rabbitmq.kill()
    began = now()
    with psycopg.connect(story.database_url) as connection:
        story.eventually(
            lambda: (
                connection.execute(
                    "SELECT FROM trades_trade WHERE claimed_at > to_timestamp(%s) AND status = 'FILLED'", [began + 1]
                ).fetchone()
                is not None
            )
        )
        connection.rollback()
    story.rabbitmq.start()
    story.take_over(now(), 90)
