"""Failover: with a synchronous standby, no acknowledged trade is lost.

With an asynchronous standby trades can be lost, and the checker detects it. Therefore docs/how-to/operate.md requires a
synchronous one.
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
from tests.faults.lifecycle import Case, sweep_until_final, violations_of
from tests.faults.servers import Pair, serving
from tests.races.concurrency import together

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
PLACED = 20
RESPONSE_SECONDS_MAX = 2.0  # COMMIT_TIMEOUT_MS, with a margin for a busy machine


@pytest.fixture
def pair(instant_exchange: StandInExchange) -> Iterator[Pair]:
    """Connect the test to the primary of a separate pair of servers."""
    # Not in pytest's temporary folder, which other sessions clean up and the servers' user can't enter.
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


def switch_to_standby(pair: Pair) -> None:
    connection.close()
    connection.settings_dict["PORT"] = str(pair.standby_port)


def test_a_synchronous_standby_has_every_acknowledged_trade(pair: Pair, instant_exchange: StandInExchange) -> None:
    pair.make_standby_synchronous()
    case = Case(instant_exchange, 1)
    for number in range(PLACED):
        case.place(f"{number}")
    pair.kill_primary()
    pair.promote()
    switch_to_standby(pair)
    case.place("after")
    sweep_until_final(case.customer)
    assert violations_of([case]) == []


def test_placing_returns_503_in_time_while_the_standby_is_unavailable(
    pair: Pair, instant_exchange: StandInExchange
) -> None:
    """Until a standby has the trade the outcome is unknown, hence 503; a retry with the same key returns the trade."""
    pair.make_standby_synchronous()
    case = Case(instant_exchange, 1)
    receiver = pair.receiver()
    receiver.suspend()
    started_at = time.monotonic()
    case.place("waits", 503)
    assert time.monotonic() - started_at < RESPONSE_SECONDS_MAX
    receiver.resume()
    case.place("waits", 200)
    sweep_until_final(case.customer)
    assert violations_of([case]) == []


def test_placing_by_one_statement_returns_503_in_time_while_the_standby_is_unavailable(
    pair: Pair, instant_exchange: StandInExchange, several_hosts: None
) -> None:
    """The statement commits by itself, so its outcome is unknown as well."""
    pair.make_standby_synchronous()
    case = Case(instant_exchange, 1, others=1)
    for member in case.all_cases:
        member.place("first")
    receiver = pair.receiver()
    receiver.suspend()
    started_at = time.monotonic()
    together(*[lambda member=member: member.place("waits", 503) for member in case.all_cases])
    assert time.monotonic() - started_at < RESPONSE_SECONDS_MAX + hosts.KNOCK_SECONDS_MAX
    receiver.resume()
    case.place("waits", 200)
    sweep_until_final(case.customer)
    connection.settings_dict.update(HOST="127.0.0.1", PORT=pair.primary.port)
    assert violations_of([case]) == []


def test_a_customer_whose_last_trade_still_waits_for_a_standby_is_answered_in_time(
    pair: Pair, instant_exchange: StandInExchange, several_hosts: None
) -> None:
    """The server keeps the locks of a commit that waits, whether or not its client still does."""
    pair.make_standby_synchronous()
    case = Case(instant_exchange, 1)
    case.place("first")
    receiver = pair.receiver()
    receiver.suspend()
    case.place("waits", 503)
    for key in ("waits", "another"):
        started_at = time.monotonic()
        case.place(key, 503)
        assert time.monotonic() - started_at < RESPONSE_SECONDS_MAX
    receiver.resume()
    case.place("waits", 200)
    case.place("another")
    sweep_until_final(case.customer)
    connection.settings_dict.update(HOST="127.0.0.1", PORT=pair.primary.port)
    assert violations_of([case]) == []


def test_a_process_finds_the_new_primary_by_itself(
    pair: Pair, instant_exchange: StandInExchange, several_hosts: None
) -> None:
    pair.make_standby_synchronous()
    case = Case(instant_exchange, 1)
    pair.kill_primary()
    case.place("key", 503)
    request_finished.send(None)
    pair.promote()
    time.sleep(hosts.NO_HOST_SECONDS)
    case.place("key")
    sweep_until_final(case.customer)
    connection.settings_dict.update(HOST="127.0.0.1", PORT=pair.standby_port)
    assert violations_of([case]) == []


def test_a_primary_that_became_a_standby_is_abandoned(
    pair: Pair, instant_exchange: StandInExchange, several_hosts: None
) -> None:
    case = Case(instant_exchange, 1)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    case.place("key", 201)  # refused before it had any effect, so the statement is repeated in a new session
    sweep_until_final(case.customer)
    connection.settings_dict.update(HOST="127.0.0.1", PORT=pair.primary.port)
    assert violations_of([case]) == []


def test_an_unreachable_host_costs_half_a_second_once(pair: Pair, several_hosts: None) -> None:
    with socket.socket() as unreachable, socket.socket() as first, socket.socket() as second:
        unreachable.bind(("127.0.0.1", 0))
        unreachable.listen(0)
        for client in (first, second):  # fill the queue, so that the next SYN is dropped as by an unreachable host
            client.setblocking(False)
            client.connect_ex(unreachable.getsockname())
        connection.settings_dict["PORT"] = f"{unreachable.getsockname()[1]},{pair.primary.port}"
        hosts.forget()
        for seconds_max in (hosts.KNOCK_SECONDS_MAX + 0.5, 0.4):
            connection.close()
            started_at = time.monotonic()
            connection.ensure_connection()
            assert time.monotonic() - started_at < seconds_max


@pytest.fixture
def several_hosts(pair: Pair) -> Iterator[None]:
    """Connect with several hosts and target_session_attrs, as in a cluster."""
    original = {name: connection.settings_dict[name] for name in ("HOST", "PORT", "OPTIONS")}
    connection.close()
    connection.settings_dict.update(
        HOST="127.0.0.1,127.0.0.1",
        PORT=f"{pair.primary.port},{pair.standby_port}",
        OPTIONS={**original["OPTIONS"], "target_session_attrs": "read-write"},
    )
    yield
    connection.close()
    connection.settings_dict.update(original)


def test_the_checker_detects_trades_lost_with_an_asynchronous_standby(
    pair: Pair, instant_exchange: StandInExchange
) -> None:
    case = Case(instant_exchange, 1)
    case.place("before")
    time.sleep(1)
    receiver = pair.receiver()
    receiver.suspend()
    for number in range(PLACED):
        case.place(f"{number}")
    pair.kill_primary()
    receiver.kill()  # the standby loses everything that it has not read yet
    pair.promote()
    switch_to_standby(pair)
    sweep_until_final(case.customer)
    violations = violations_of([case])
    assert any("lost" in violation for violation in violations)
