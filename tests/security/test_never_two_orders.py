"""The unmodified alpaca-py behind the balancer that we ship never places two orders with one call, whatever `web` does.

The client repeats a request by itself after 429 or 504, even an order without a client_order_id. So neither status may
be the response to an order that may have been placed.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
import pytest

from local.harness import Brokerage
from tests.security.balancer import BINARY, Balancer, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import MarketOrderRequest

pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(BINARY is None, reason="HAProxy is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ANSWER_SECONDS = 3
BALANCER = {"ANSWER_TIMEOUT": f"{ANSWER_SECONDS}s"}  # 30 s by default
RETRIED_BY_CLIENT = {429, 504}
PAUSE_SECONDS = 0.02  # of each of six threads between two orders: enough load, and a killed process can start beside it
Keys = dict[str, Any]


@pytest.fixture(scope="module")
def keys(brokerage: Brokerage) -> Keys:
    code = """
import json
from decimal import Decimal
from accounts import customers, funding, tokens
customer = customers.create_customer("orders@example.com", None)
funding.deposit(customer.id, Decimal("1000000"))
issued = tokens.issue(customer, "orders")
print(json.dumps({"customer": customer.id, "key": issued.key_id, "secret": issued.secret_key}))
"""
    completed = brokerage.manage("shell", "--no-imports", "-c", code)
    keys: Keys = json.loads(completed.stdout.splitlines()[-1])
    return keys


@pytest.fixture
def count_orders(brokerage: Brokerage, keys: Keys) -> Callable[[], int]:
    """Provide a function that counts the customer's orders."""

    def count() -> int:
        with psycopg.connect(brokerage.environment["DATABASE_URL"]) as database:
            row = database.execute("SELECT count(*) FROM trades_trade WHERE customer_id = %s", [keys["customer"]])
            return int((row.fetchone() or (0,))[0])

    return count


class Program:
    """A customer's program that submits orders without a client_order_id, from several threads."""

    def __init__(self, balancer: Balancer, keys: Keys) -> None:
        self._url, self._keys = f"{balancer.url}/alpaca", keys
        self.submitted, self.refused = 0, list[tuple[int, Any]]()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(6)]

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(60)

    def _run(self) -> None:
        client = TradingClient(self._keys["key"], self._keys["secret"], url_override=self._url)
        while not self._stop.wait(PAUSE_SECONDS):
            order = MarketOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
            with self._lock:
                self.submitted += 1
            try:
                client.submit_order(order)
            except APIError as error:
                self.refused.append((error.status_code, error.code))
                time.sleep(0.1)
            except OSError:  # the connection broke
                time.sleep(0.1)


def process_tree(brokerage: Brokerage, name: str) -> list[psutil.Process]:
    process = psutil.Process(brokerage.processes()[name])
    return [process, *process.children(recursive=True)]


def check_orders(program: Program, placed: int) -> None:
    """Check that every call placed at most one order, and that no response made the client retry."""
    assert placed <= program.submitted
    statuses = {status for status, _ in program.refused}
    assert not statuses & RETRIED_BY_CLIENT, program.refused[:5]
    assert all(isinstance(code, int) and code // 100_000 == status for status, code in program.refused)


def test_no_call_places_two_orders_while_a_web_is_frozen(
    brokerage: Brokerage, balancer: Balancer, keys: Keys, count_orders: Callable[[], int]
) -> None:
    before, program = count_orders(), Program(balancer, keys)
    with program.running():
        wait_until(lambda: count_orders() > before)
        frozen = process_tree(brokerage, "web.2")
        for process in frozen:
            process.suspend()
        time.sleep(ANSWER_SECONDS + 3)
        for process in reversed(frozen):
            process.resume()
        wait_until(lambda: balancer.states()["web_2"] == "UP")
    time.sleep(1)
    check_orders(program, count_orders() - before)
    assert 502 in {status for status, _ in program.refused}, "no request waited for the frozen web"


def test_no_call_places_two_orders_while_a_web_is_killed(
    brokerage: Brokerage, balancer: Balancer, keys: Keys, count_orders: Callable[[], int]
) -> None:
    before, program = count_orders(), Program(balancer, keys)
    with program.running():
        for _ in range(3):
            wait_until(lambda: set(balancer.states().values()) == {"UP"})
            placed = count_orders()
            wait_until(lambda more_than=placed: count_orders() > more_than)  # type: ignore[misc]
            for process in process_tree(brokerage, "web.2"):
                process.kill()
            wait_until(lambda: balancer.states()["web_2"] == "DOWN", 10)
        wait_until(lambda: set(balancer.states().values()) == {"UP"})
    check_orders(program, count_orders() - before)


def test_no_call_places_two_orders_while_all_webs_are_overloaded(
    brokerage: Brokerage, balancer: Balancer, keys: Keys, count_orders: Callable[[], int]
) -> None:
    before, program = count_orders(), Program(balancer, keys)
    with psycopg.connect(brokerage.environment["DATABASE_URL"]) as database, program.running():
        wait_until(lambda: count_orders() > before)
        # Placing waits for this lock until the database's timeout, so all threads of all webs are busy.
        database.execute("SELECT FROM trades_tradecounter WHERE customer_id = %s FOR UPDATE", [keys["customer"]])
        time.sleep(2 * ANSWER_SECONDS)
        database.rollback()
        time.sleep(1)
    assert program.refused
    check_orders(program, count_orders() - before)


def test_no_call_places_an_order_while_no_web_runs(
    brokerage: Brokerage, balancer: Balancer, keys: Keys, count_orders: Callable[[], int]
) -> None:
    supervisor = brokerage.processes()["supervisord"]
    webs = [
        *process_tree(brokerage, "web.1"),
        *process_tree(brokerage, "web.2"),
    ]  # read these before supervisord is stopped, because it must answer
    before, program = count_orders(), Program(balancer, keys)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for process in webs:
            process.kill()
        wait_until(lambda: set(balancer.states().values()) == {"DOWN"}, 10)
        with program.running():
            time.sleep(2)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert {(503, 50310000)} == set(program.refused)
    check_orders(program, count_orders() - before)
    assert count_orders() == before
