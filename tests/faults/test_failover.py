"""A primary dies and its standby takes over: with a synchronous standby nothing that was answered is lost.

With an asynchronous one it can be, and the checker sees it; so docs/how-to/operate.md asks for a synchronous one.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.conftest import StandInExchange
from tests.faults.life import Case, judge, sweep_until_final
from tests.faults.servers import Pair, serving

pytestmark = pytest.mark.django_db(transaction=True)
PLACED = 20
LIMITS_SECONDS_MAX = 7.0  # longer than statements and locks may take


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


def test_a_synchronous_standby_has_all_that_was_answered(pair: Pair, willing: StandInExchange) -> None:
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


def test_without_its_standby_a_placing_waits_and_is_not_answered(pair: Pair, willing: StandInExchange) -> None:
    """No time limit ends that wait with an answer that would be untrue: that is why two standbys are asked for."""
    pair.be_synchronous()
    case = Case(willing, 1)
    receiver = pair.receiver()
    receiver.suspend()

    def place() -> None:
        case.place("waits")
        connection.close()

    waiting = threading.Thread(target=place)
    waiting.start()
    waiting.join(LIMITS_SECONDS_MAX)
    assert waiting.is_alive()
    receiver.resume()
    waiting.join(30)
    assert not waiting.is_alive()
    sweep_until_final(case.customer)
    assert judge([case]) == []


def test_an_asynchronous_standby_may_lack_some_and_the_checker_sees_it(pair: Pair, willing: StandInExchange) -> None:
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
