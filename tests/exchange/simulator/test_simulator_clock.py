"""The exchange sends its time with every response, uses it for every decision, and lets testers change it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.exchange.simulator.conftest import Broker, Exchange


@pytest.fixture
def exchange(exchange: Exchange) -> Iterator[Any]:
    yield exchange
    exchange.call("DELETE", "/v1/clock")


def move(exchange: Exchange, seconds: float) -> None:
    status, body = exchange.call("PUT", "/v1/clock", {"offsetSeconds": seconds})
    assert status == 200, body
    assert body["offsetSeconds"] == seconds


def seconds_ahead(text: str) -> Any:
    """Return how many seconds a time is ahead of this machine's clock."""
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"), ("GET", "/v1/quotes/AAPL"), ("GET", "/v1/trades/nobody"), ("POST", "/v1/trades"),
        ("GET", "/nothing"), ("DELETE", "/v1/quotes/AAPL"), ("GET", "/v1/faults"), ("PUT", "/v1/closures"),
    ],
)  # fmt: skip
def test_every_response_has_the_exchanges_time(exchange: Exchange, method: str, path: str) -> None:
    move(exchange, -20)
    response = exchange.http.request(method, f"http://127.0.0.1:{exchange.port}{path}")
    assert -21 < seconds_ahead(response.headers["exchange-time"]) < -18
    assert len(response.headers["exchange-time"]) == len("2026-11-22T14:30:00.000000Z")
    date = parsedate_to_datetime(response.headers["date"])
    assert -22 < (date - datetime.now(UTC)).total_seconds() < -18


def test_the_time_of_a_response_precedes_its_data(exchange: Exchange) -> None:
    exchange.faults(answerDelayMs=1000)
    response = exchange.http.request("GET", f"http://127.0.0.1:{exchange.port}/v1/trades/nobody")
    assert seconds_ahead(response.headers["exchange-time"]) < -0.9


def test_the_clock_is_shown_and_reset(exchange: Exchange) -> None:
    move(exchange, 86_400.5)
    clock = exchange.get("/v1/clock")
    assert clock["offsetSeconds"] == 86_400.5
    assert 86_399 < seconds_ahead(clock["at"]) < 86_402
    status, body = exchange.call("DELETE", "/v1/clock")
    assert (status, body["offsetSeconds"]) == (200, 0)
    assert abs(seconds_ahead(exchange.get("/v1/clock")["at"])) < 2


@pytest.mark.parametrize(
    "body",
    [{}, [], {"offsetSeconds": "5"}, {"offsetSeconds": None}, {"offsetSeconds": True}, {"offsetSeconds": 1e12},
     {"offsetSeconds": 5, "other": 1}],
    ids=str,
)  # fmt: skip
def test_bad_offsets_change_nothing(exchange: Exchange, body: Any) -> None:
    status, response = exchange.call("PUT", "/v1/clock", body)
    assert status == 422
    assert response["errors"]
    assert exchange.get("/v1/clock")["offsetSeconds"] == 0


def test_trades_expire_by_the_exchanges_clock(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    move(exchange, -3600)
    expired_by_our_clock = trade(expiresAt=(datetime.now(UTC) - timedelta(minutes=10)).isoformat())
    assert exchange.execute(broker.url, expired_by_our_clock)[1]["results"][0]["status"] == "ACCEPTED"
    report = exchange.final(expired_by_our_clock["tradeId"])
    assert report["status"] == "FILLED"
    assert -3610 < seconds_ahead(report["executedAt"]) < -3590
    move(exchange, 3600)
    expired_by_exchange_clock = trade(expiresAt=(datetime.now(UTC) + timedelta(minutes=10)).isoformat())
    assert exchange.execute(broker.url, expired_by_exchange_clock)[1]["results"][0]["code"] == "expired"


def test_a_clock_that_jumps_ahead_expires_unexecuted_trades(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(latencyMs=1000)
    order = trade(expiresAt=(datetime.now(UTC) + timedelta(minutes=10)).isoformat())
    exchange.execute(broker.url, order)
    move(exchange, 3600)
    assert broker.wait(order["tradeId"])[0]["reasonCode"] == "expired"


def test_latency_does_not_depend_on_the_clock(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(latencyMs=300)
    order = trade()
    exchange.execute(broker.url, order)
    move(exchange, -86_400)
    assert broker.wait(order["tradeId"])[0]["status"] == "FILLED"


def test_prices_are_those_of_the_exchanges_time(exchange: Exchange) -> None:
    move(exchange, 30 * 86_400)
    quote = exchange.get("/v1/quotes/AAPL")
    assert seconds_ahead(quote["at"]) > 29 * 86_400
    bars = exchange.get("/v1/bars/AAPL?points=3")["results"]
    assert seconds_ahead(bars[-1]["at"]) > 28 * 86_400


def test_callbacks_can_be_verified_while_the_clock_is_moved(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    move(exchange, 5 * 86_400)
    order = trade(expiresAt=None)
    exchange.execute(broker.url, order)
    broker.wait(order["tradeId"])
    headers = {name.lower(): value for name, value in broker.posts[0][0].items()}
    assert abs(datetime.now(UTC).timestamp() - int(headers["webhook-timestamp"])) < 30


def test_the_clock_stays_moved_across_a_restart(new_exchange: Callable[..., Exchange]) -> None:
    exchange = new_exchange().start()
    move(exchange, -1234.5)
    exchange.kill()
    exchange.start()
    assert exchange.get("/v1/clock")["offsetSeconds"] == -1234.5
