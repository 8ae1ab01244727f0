"""Several brokers in BROKER_URL: one that responds is enough, and one that takes no messages is not ready."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.valkey import answers
from tests.rabbitmq.server import RabbitMQ, is_installed

pytestmark = [pytest.mark.rabbitmq, pytest.mark.skipif(not is_installed(), reason="RabbitMQ is not installed")]

UNREACHABLE = "amqp://guest:guest@127.0.0.1:1//;amqp://guest:guest@127.0.0.1:2//"
RING = "from trades.lane import ring; print('rung', all(ring([n]) for n in range(20)))"
READY = "from brokerage import health; print('ready', health.broker_takes_messages())"


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("several")) as rabbitmq:
        yield rabbitmq


def output_of(broker_url: str, code: str) -> str:
    """Return the output of a process with this BROKER_URL."""
    process = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"BROKER_URL": broker_url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip().splitlines()[-1]


def test_rings_reach_the_last_of_three_brokers_while_the_others_are_unreachable(rabbitmq: RabbitMQ) -> None:
    assert output_of(f"{UNREACHABLE};{rabbitmq.url}", RING) == "rung True"
    assert output_of(f"{UNREACHABLE};{rabbitmq.url}", READY) == "ready True"
    assert answers(f"{UNREACHABLE};{rabbitmq.url}") is None
    assert answers(UNREACHABLE) is not None
    assert output_of(UNREACHABLE, READY) == "ready False"


def test_a_broker_without_memory_responds_but_is_not_ready(rabbitmq: RabbitMQ) -> None:
    rabbitmq.control("set_vm_memory_high_watermark", "0.0001")
    try:
        assert output_of(rabbitmq.url, READY) == "ready False"
    finally:
        rabbitmq.control("set_vm_memory_high_watermark", "0.4")
