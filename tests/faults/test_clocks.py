"""The database's clock jumps while trades are in flight, as after a failover to a host whose clock is wrong."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from chaos.clocks import faketime
from exchange import exchange_time
from local.postgresql import allow_server_user
from tests.conftest import StandInExchange
from tests.faults.lifecycle import Case, place_for_all, sweep_until_final, violations_of
from tests.faults.servers import Pair, serving
from tests.people import claim
from trades import sweep
from trades.execute import execute
from trades.models import Status, Trade

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
JUMPS_SECONDS = [3600, -3600, 45, -45]
SetClock = Callable[[int], None]


@pytest.fixture
def set_clock() -> Iterator[SetClock]:
    """Connect to a separate PostgreSQL; provide a function that sets its clock this many seconds ahead."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-clock-"))
    clock = folder / "clock"
    clock.write_text("+0\n")
    library = faketime()
    allow_server_user(clock, library)
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    pair = Pair(folder / "pair", environment)

    def set_clock(seconds: int) -> None:
        clock.write_text(f"{seconds:+d}\n")
        deadline = time.monotonic() + 10
        while abs(_seconds_off() - seconds) > 5:
            assert time.monotonic() < deadline, _seconds_off()
            time.sleep(0.1)

    pair.start_primary()
    with serving(pair):
        yield set_clock
        clock.write_text("+0\n")
    pair.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _seconds_off() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        return float(cursor.fetchone()[0]) - time.time()


def test_a_clock_that_jumps_rejects_no_trade_that_the_exchange_fills(
    instant_exchange: StandInExchange, set_clock: SetClock
) -> None:
    cases = []
    for number, jump in enumerate(JUMPS_SECONDS):
        set_clock(0)
        case = Case(instant_exchange, number, 2)
        cases.append(case)
        customers = [member.customer for member in case.all_cases]
        instant_exchange.faults(latencyMs=700)
        place_for_all(case, "claimed before the jump and executed after it")
        claimed = claim(*customers)
        assert len(claimed) == 3
        place_for_all(case, "waiting behind the first")
        set_clock(jump)
        sweep.ask_exchange()  # the exchange does not know the trades yet
        execute(claimed[:1])
        for member in case.all_cases:
            member.place("placed while the clock is wrong")
        sweep.ring_for_waiting("sweep")
        sweep.ask_exchange()
        set_clock(0)
        sweep_until_final(*customers)
        endings = Trade.objects.filter(customer__in=customers).values_list("status", "reason_code")
        assert set(endings) == {(Status.FILLED, "")}, (jump, list(endings))
    assert violations_of(cases) == []


@pytest.mark.parametrize("jump", JUMPS_SECONDS)
def test_a_new_process_follows_the_exchanges_clock(
    instant_exchange: StandInExchange, set_clock: SetClock, jump: int
) -> None:
    case = Case(instant_exchange, 1)
    set_clock(jump)
    exchange_time.forget()
    case.place("first")
    (trade,) = claim(case.customer)
    assert trade.expires_at is not None
    assert 0 < trade.expires_at.timestamp() - time.time() < 60
    sweep_until_final(case.customer)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
    assert violations_of([case]) == []
