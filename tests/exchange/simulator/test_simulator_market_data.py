"""The exchange's data about stocks, prices and market hours."""

import re
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.simulator.conftest import Broker, Exchange

MONEY = re.compile(r"\d+\.\d{4}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_quotes(exchange: Exchange) -> None:
    quote = exchange.get("/v1/quotes/AAPL")
    assert quote.keys() == {
        "stockTicker", "price", "at", "open", "high", "low", "previousClose", "change", "changePercent", "volume",
        "high52Weeks", "low52Weeks",
    }  # fmt: skip
    assert (
        Decimal(quote["low52Weeks"]) <= Decimal(quote["low"]) <= Decimal(quote["high"]) <= Decimal(quote["high52Weeks"])
    )
    assert isinstance(quote["volume"], int)
    assert MONEY.fullmatch(quote["price"])
    assert Decimal(quote["change"]) == Decimal(quote["price"]) - Decimal(quote["previousClose"])
    body = exchange.get("/v1/quotes?tickers=AAPL,MSFT,NOSUCH,AAPL")
    assert [quote["stockTicker"] for quote in body["results"]] == ["AAPL", "MSFT"]
    assert body["unknown"] == ["NOSUCH"]
    assert exchange.call("GET", "/v1/quotes/NOSUCH")[0] == 404


def test_quotes_move_within_seconds(exchange: Exchange, wait_until: Callable[..., Any]) -> None:
    first = exchange.get("/v1/quotes/AAPL")["price"]
    wait_until(lambda: exchange.get("/v1/quotes/AAPL")["price"] != first)


def test_fills_are_at_the_price_that_charts_show(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    order = trade()
    exchange.execute(broker.url, order)
    report = exchange.final(order["tradeId"])
    at = report["executedAt"][:19] + "Z"
    end = report["executedAt"][:19] + ".999999Z"
    bars = exchange.get(f"/v1/bars/AAPL?start={at}&end={end}&step=1")["results"]
    assert bars[0]["open"] == report["price"]


def test_tickers_and_clock(exchange: Exchange) -> None:
    tickers = exchange.get("/v1/tickers")["results"]
    assert len(tickers) >= 400
    assert {"AAPL", "MSFT", "GOOG", "GOOGL", "AMZN", "IBM", "NVDA"} <= {entry["stockTicker"] for entry in tickers}
    assert all(entry["name"] and entry["exchange"] in ("NYSE", "NASDAQ") for entry in tickers)
    clock = exchange.get("/v1/clock")
    assert TIME.fullmatch(clock.pop("at"))
    assert clock == {"isOpen": True, "hours": "always", "nextOpen": None, "nextClose": None, "offsetSeconds": 0.0}


def test_calendar(exchange: Exchange) -> None:
    body = exchange.get("/v1/calendar?start=2026-11-25&end=2026-11-30")
    assert body["hours"] == "always"
    assert [(day["date"], day["open"], day["close"], day["halfDay"]) for day in body["results"]] == [
        ("2026-11-25", "09:30", "16:00", False),
        ("2026-11-27", "09:30", "13:00", True),
        ("2026-11-30", "09:30", "16:00", False),
    ]
    assert body["results"][0]["opensAt"] == "2026-11-25T14:30:00.000000Z"


@pytest.mark.parametrize(
    ("query", "bars_max"),
    [
        ("", 301),
        ("start=2019-01-01T00:00:00Z&points=1000", 1001),
        ("start=2024-01-01T00:00:00Z&end=2025-01-01T00:00:00Z&step=86400", 367),
    ],
)
def test_bars(exchange: Exchange, query: Any, bars_max: Any) -> None:
    bars = exchange.get(f"/v1/bars/AAPL?{query}")["results"]
    assert 1 < len(bars) <= bars_max
    assert [bar["at"] for bar in bars] == sorted({bar["at"] for bar in bars})
    for bar in bars:
        low, high = Decimal(bar["low"]), Decimal(bar["high"])
        assert 0 < low <= min(Decimal(bar["open"]), Decimal(bar["close"]))
        assert max(Decimal(bar["open"]), Decimal(bar["close"])) <= high


def test_bars_of_many_stocks_in_one_call(exchange: Exchange) -> None:
    query = "start=2026-11-20T00:00:00Z&end=2026-11-20T06:00:00Z&step=300"
    body = exchange.get(f"/v1/bars?tickers=AAPL,NOSUCH,IBM&{query}")
    assert body["step"] == 300
    assert body["unknown"] == ["NOSUCH"]
    assert [entry["stockTicker"] for entry in body["results"]] == ["AAPL", "IBM"]
    for entry in body["results"]:
        assert entry["bars"] == exchange.get(f"/v1/bars/{entry['stockTicker']}?{query}")["results"]
        assert len(entry["bars"]) == 72
    two_fields = exchange.get(f"/v1/bars?tickers=AAPL,NOSUCH,IBM&{query}&fields=open,close")["results"]
    for partial, complete in zip(two_fields, body["results"], strict=True):
        assert partial["bars"] == [{name: bar[name] for name in ("at", "open", "close")} for bar in complete["bars"]]
    assert exchange.call("GET", f"/v1/bars?tickers=AAPL&{query}&fields=volume")[0] == 422


def test_bars_of_many_stocks_are_limited_in_all(exchange: Exchange) -> None:
    tickers = ",".join(entry["stockTicker"] for entry in exchange.get("/v1/tickers")["results"][:40])
    status, body = exchange.call("GET", f"/v1/bars?tickers={tickers}&points=1000")
    assert status == 422
    assert body["errors"][0]["field"] == "step"


def test_the_data_of_60_positions_is_quick(exchange: Exchange) -> None:
    tickers = [entry["stockTicker"] for entry in exchange.get("/v1/tickers")["results"]][:60]
    paths = [f"/v1/quotes?tickers={','.join(tickers)}", f"/v1/bars?tickers={','.join(tickers)}&points=78"]
    for path in paths:
        assert len(exchange.get(path)["results"]) == 60
        started_at = time.monotonic()
        assert len(exchange.get(path)["results"]) == 60
        assert time.monotonic() - started_at < 1
