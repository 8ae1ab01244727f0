"""Celery's own commands, and Flower, work on the brokerage as any Celery user expects."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

from local import ports
from trades import lane

pytestmark = pytest.mark.process

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
START_SECONDS_MAX = 60.0


def celery(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "celery"), "-A", "brokerage", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a worker for two lanes; yield its name."""
    log = tmp_path_factory.mktemp("celery") / "log"
    command = [
        str(BIN / "celery"),
        "-A",
        "brokerage",
        "worker",
        "-Q",
        "lane-00,lane-01",
        "--pool=solo",
        "-n",
        "two@here",
    ]
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while "two@here ready" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield "two@here"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def broker() -> redis.Redis:
    return lane.broker()


def test_inspect_finds_the_worker_and_the_lanes_that_it_serves(worker: str) -> None:
    assert "pong" in celery("inspect", "ping", "--timeout", "10").stdout
    queues_of = json.loads(celery("inspect", "active_queues", "--json", "--timeout", "10").stdout)
    assert [queue["name"] for queue in queues_of[worker]] == ["lane-00", "lane-01"]


def test_call_sends_a_turn_to_its_lane(broker: redis.Redis) -> None:
    before = broker.llen(lane.queue_key(3))
    process = celery("call", "trades.turn", "--kwargs", '{"lane": 3}')
    assert process.returncode == 0, process.stderr
    assert broker.llen(lane.queue_key(3)) == before + 1


def test_a_worker_serves_only_its_own_lanes(worker: str, broker: redis.Redis) -> None:
    customers = {lane.lane_of(number): number for number in range(1000)}  # one for each lane
    for number in customers.values():
        assert lane.ring([number])
    deadline = time.monotonic() + 15
    while any(broker.scard(lane.rung_key(number)) for number in (0, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    still_rung = {number for number in range(settings.LANES) if broker.scard(lane.rung_key(number))}
    assert still_rung == set(range(2, settings.LANES))


def test_flower_sees_the_worker(worker: str) -> None:
    port = ports.choose()
    command = [str(BIN / "celery"), "-A", "brokerage", "flower", f"--port={port}", "--address=127.0.0.1"]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=os.environ | {"FLOWER_UNAUTHENTICATED_API": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        workers: dict[str, object] = {}
        while worker not in workers:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/workers?refresh=1", timeout=20) as response:
                    workers = json.loads(response.read())
            except OSError:
                continue
    finally:
        process.terminate()
        process.wait(30)
