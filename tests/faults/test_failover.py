"""Failover: with a synchronous standby, no acknowledged trade is lost.

With an asynchronous one it can be, and the checker sees it; so docs/how-to/operate.md asks for a synchronous one.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.signals import request_finished
from django.db import connection

from brokerage.database import hosts
from tests.conftest import StandInExchange
from tests.faults.life import Case, judge, sweep_until_final
from tests.faults.servers import Pair, serving
from tests.races.at_once import together

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
PLACED = 20
DOOR_SECONDS_MAX = 2.0  # COMMIT_TIMEOUT_MS, and what a busy machine adds


@pytest.fixture
def pair(willing: StandInExchange) -> Iterator[Pair]:
    """The test's database connections go to the primary of a pair of its own."""
    # Not under pytest's folder, which other sessions tidy up and the servers' user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="brokerage-pair-"))
    pair = Pair(folder)
    try:
        pair.start_primary()
        pair.start_standby()
        with serving(pair):
            yield pair
    finally:
        pair.stop()
        shutil.rmtree(folder, ignore_errors=True)


def switch(pair: Pair) -> None:
    connection.close()
    connection.settings_dict["PORT"] = str(pair.standby_port)


def test_a_synchronous_standby_has_every_acknowledged_trade(pair: Pair, willing: StandInExchange) -> None:
    pair.be_synchronous()
    case = Case(willing, 1)
    for number in range(PLACED):
        case.place(f"{number}")
    pair.kill_primary()
    pair.promote()
    switch(pair)
    case.place("after")
    sweep_until_final(case.customer)
    assert judge([case]) == []


def test_without_its_standby_placing_answers_503_in_time(pair: Pair, willing: StandInExchange) -> None:
    """Whether it was recorded is unknown until a standby has it: 503, and the same key tells later."""
    pair.be_synchronous()
    case = Case(willing, 1)
    receiver = pair.receiver()
    receiver.suspend()
    began = time.monotonic()
    case.place("waits", 503)
    assert time.monotonic() - began < DOOR_SECONDS_MAX
    receiver.resume()
    case.place("waits", 200)
    sweep_until_final(case.customer)
    assert judge([case]) == []


def test_without_its_standby_a_trade_placed_by_one_statement_answers_503_in_time(
    pair: Pair, willing: StandInExchange, several: None
) -> None:
    """The statement commits by itself, and its outcome is unknown too."""
    pair.be_synchronous()
    case = Case(willing, 1, others=1)
    for each in case.everybody:
        each.place("first")
    receiver = pair.receiver()
    receiver.suspend()
    began = time.monotonic()
    together(*[lambda each=each: each.place("waits", 503) for each in case.everybody])
    assert time.monotonic() - began < DOOR_SECONDS_MAX + hosts.TCP_CONNECT_SECONDS_MAX
    receiver.resume()
    case.place("waits", 200)
    sweep_until_final(case.customer)
    connection.settings_dict.update(HOST="127.0.0.1", PORT=pair.primary.port)
    assert judge([case]) == []


def test_a_process_finds_the_new_primary_by_itself(pair: Pair, willing: StandInExchange, several: None) -> None:
    pair.be_synchronous()
    case = Case(willing, 1)
    pair.kill_primary()
    case.place("key", 503)
    request_finished.send(None)
    pair.promote()
    time.sleep(hosts.NONE_FOUND_SECONDS)
    case.place("key")
    sweep_until_final(case.customer)
    connection.settings_dict.update(HOST="127.0.0.1", PORT=pair.standby_port)
    assert judge([case]) == []


def test_a_primary_that_became_a_standby_is_abandoned(pair: Pair, willing: StandInExchange, several: None) -> None:
    case = Case(willing, 1)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    case.place("key", 201)  # the statement was refused before it did anything: a new session takes it
    sweep_until_final(case.customer)
    connection.settings_dict.update(HOST="127.0.0.1", PORT=pair.primary.port)
    assert judge([case]) == []


def test_a_host_that_does_not_answer_costs_half_a_second_once(pair: Pair, several: None) -> None:
    with socket.socket() as vanished, socket.socket() as first, socket.socket() as second:
        vanished.bind(("127.0.0.1", 0))
        vanished.listen(0)
        for client in (first, second):  # its queue is full: the next SYN is dropped, as by a host that is cut off
            client.setblocking(False)
            client.connect_ex(vanished.getsockname())
        connection.settings_dict["PORT"] = f"{vanished.getsockname()[1]},{pair.primary.port}"
        hosts.forget()
        for seconds_max in (hosts.TCP_CONNECT_SECONDS_MAX + 0.5, 0.4):
            connection.close()
            began = time.monotonic()
            connection.ensure_connection()
            assert time.monotonic() - began < seconds_max


@pytest.fixture
def several(pair: Pair) -> Iterator[None]:
    """Connect with several hosts and target_session_attrs, as in a cluster."""
    there = {name: connection.settings_dict[name] for name in ("HOST", "PORT", "OPTIONS")}
    connection.close()
    connection.settings_dict.update(
        HOST="127.0.0.1,127.0.0.1",
        PORT=f"{pair.primary.port},{pair.standby_port}",
        OPTIONS={**there["OPTIONS"], "target_session_attrs": "read-write"},
    )
    yield
    connection.close()
    connection.settings_dict.update(there)


def test_an_asynchronous_standby_may_lose_trades_and_the_checker_finds_it(pair: Pair, willing: StandInExchange) -> None:
    case = Case(willing, 1)
    case.place("before")
    time.sleep(1)
    receiver = pair.receiver()
    receiver.suspend()
    for number in range(PLACED):
        case.place(f"{number}")
    pair.kill_primary()
    receiver.kill()  # and with it what it had not read yet
    pair.promote()
    switch(pair)
    sweep_until_final(case.customer)
    found = judge([case])
    assert any("lost" in words for words in found)
