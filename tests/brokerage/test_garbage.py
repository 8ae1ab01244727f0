"""Requests of programs leave nothing to Python's garbage collector, which stops all threads while it collects."""

import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import reduce
from operator import and_
from typing import Any

import pytest

from accounts import tokens
from accounts.models import Customer
from brokerage.wsgi import application
from tests.brokerage.test_wsgi import call
from tests.conftest import StandInExchange
from tests.people import report_body
from tests.trades.test_callback import signed
from trades.place import place_trade

REPEATED = 3
ORDER = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
ALPACA_ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


def send(method: str, path: str, body: Any = None, **headers: str) -> int:
    """Send a request like the web server does, and return the status."""
    return int(call(application, method, path, body, **headers)[0][:3])


@contextmanager
def counted_garbage() -> Iterator[Counter[str]]:
    """Yield a counter that knows, once the block has ended, of what types are the objects left to the collector.

    It holds none of them. They would be found again by the next count otherwise.
    """
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(left).__name__ for left in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def assert_leaves_nothing(act: Callable[[], int], status: int) -> None:
    """Assert that requests are answered like this, and that no kind of object is left by each of them.

    What only one of them leaves belongs to another thread, which may have closed a connection at that moment.
    """
    assert act() == status  # the first request loads what all others use
    left: list[Counter[str]] = []
    for _ in range(REPEATED):
        with counted_garbage() as garbage:
            assert act() == status
        left.append(garbage)
    assert reduce(and_, left) == {}


def leave_a_circle() -> None:
    circle: list[Any] = []
    circle.append(circle)


def test_what_refers_to_itself_is_found_once() -> None:
    with counted_garbage() as garbage:
        leave_a_circle()
    assert garbage == {"list": 1}
    with counted_garbage() as garbage:
        pass
    assert garbage == {}


@pytest.mark.django_db(transaction=True)  # a request outside Django's test client closes the connection
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/trades", ORDER, 201),
        ("POST", "/api/v1/trades", ORDER | {"type": "HOLD"}, 400),
        ("POST", "/api/v1/trades/batch", {"trades": [ORDER, ORDER]}, 207),
        ("POST", "/alpaca/v2/orders", ALPACA_ORDER, 200),
        ("POST", "/alpaca/v2/orders", {}, 422),
        ("GET", "/api/v1/trades/00000000-0000-0000-0000-000000000000", None, 404),
        ("GET", "/api/v1/none", None, 404),
        ("GET", "/api/v1/trades", None, 200),
        ("GET", "/api/v1/balance", None, 200),
        ("GET", "/api/v1/positions", None, 200),
        ("GET", "/alpaca/v2/account", None, 200),
        ("GET", "/alpaca/v2/positions", None, 200),
        ("DELETE", "/api/v1/trades", None, 405),
        ("GET", "/healthz", None, 200),
        ("GET", "/", None, 302),
    ],
)
def test_requests(exchange: StandInExchange, alice: Customer, method: str, path: str, body: Any, status: int) -> None:
    authorization = f"Bearer {tokens.issue(alice, 'test').token}"
    assert_leaves_nothing(lambda: send(method, path, body, authorization=authorization), status)


@pytest.mark.django_db(transaction=True)
def test_a_stranger_is_refused(alice: Customer) -> None:
    assert_leaves_nothing(lambda: send("POST", "/api/v1/trades", ORDER, authorization="Bearer none"), 401)


@pytest.mark.django_db(transaction=True)
def test_looking_at_a_trade(exchange: StandInExchange, alice: Customer) -> None:
    authorization = f"Bearer {tokens.issue(alice, 'test').token}"
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    assert_leaves_nothing(lambda: send("GET", f"/api/v1/trades/{trade.id}", authorization=authorization), 200)


@pytest.mark.django_db(transaction=True)
def test_callbacks(exchange: StandInExchange, alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    prices = iter(range(1, 10))

    def call_back() -> int:
        body = {"reports": [report_body(trade, "FILLED", Decimal(next(prices)))]}
        return send("POST", "/exchange/callbacks", body, **signed(json.dumps(body).encode()))

    assert_leaves_nothing(call_back, 204)
