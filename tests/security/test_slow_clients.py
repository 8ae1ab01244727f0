"""Clients that say nothing, say it slowly, or announce more than they may say, against the real web server."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import urllib3

from local.harness import Brokerage
from local.ports import LOOPBACK

pytestmark = pytest.mark.story
CLIENTS = 40
HEAD_SECONDS_MAX = 30.0  # the web server's own limit, with --http 1: else who says nothing may stay for ever
ANSWER_SECONDS_MAX = 3.0
PLACING = b"POST /api/v1/trades HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def brokerage() -> Iterator[Brokerage]:
    folder = Path(tempfile.mkdtemp(prefix="brokerage-slow-"))
    try:
        with Brokerage(folder / "var", {"web": 1, "lanes": 1, "sweep": 1}) as it:
            yield it
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def say(brokerage: Brokerage, words: bytes) -> socket.socket:
    client = socket.create_connection((LOOPBACK, brokerage.port), 5)
    client.sendall(words)
    return client


def others_are_served(brokerage: Brokerage) -> bool:
    began = time.monotonic()
    answer = urllib3.request("GET", f"{brokerage.url}/healthz", timeout=ANSWER_SECONDS_MAX, retries=False)
    return answer.status == 200 and time.monotonic() - began < ANSWER_SECONDS_MAX


def test_who_does_not_finish_a_head_is_shown_out_and_keeps_nobody_up(brokerage: Brokerage) -> None:
    beginnings = [b"", b"GET / HT", PLACING + b"X-Drip: "]
    with ExitStack() as clients:
        slow = [clients.enter_context(say(brokerage, words)) for words in beginnings * CLIENTS]
        began = time.monotonic()
        assert others_are_served(brokerage)
        for client in slow:
            client.settimeout(max(1.0, began + HEAD_SECONDS_MAX + 5 - time.monotonic()))
            assert client.recv(1000) == b""


def test_a_body_that_is_announced_too_large_is_refused_unread(brokerage: Brokerage) -> None:
    token = brokerage.manage("create_customer", "slow@example.com", "--password", "correct horse battery", "--json")
    bearer = token.stdout.partition('"token": "')[2].partition('"')[0].encode()
    head = PLACING + b"Authorization: Bearer " + bearer + b"\r\nContent-Length: 10000000000\r\n\r\n{"
    with say(brokerage, head) as client:
        client.settimeout(ANSWER_SECONDS_MAX)
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert others_are_served(brokerage)
