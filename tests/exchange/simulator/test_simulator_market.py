"""Prices are a pure function of ticker and moment; hours are the New York Stock Exchange's."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from exchange.simulator.calendar import Always, Closure, Nyse
from exchange.simulator.clock import Clock, machine_time
from exchange.simulator.database import Database
from exchange.simulator.execute_request import ExecuteRequest, Terms
from exchange.simulator.execution import ExecutionEngine
from exchange.simulator.faults import Faults
from exchange.simulator.formats import SECOND, format_money, format_time, from_datetime, parse_money, parse_time
from exchange.simulator.market import Market
from exchange.simulator.order_store import OrderStore
from tests.exchange.simulator.conftest import Broker, Exchange

TICKERS = ["AAPL", "MSFT", "GOOG", "IBM", "NVDA", "AMZN", "META", "F", "T", "C"]
DAY = 86_400 * SECOND


@pytest.fixture(scope="module")
def always() -> Any:
    return Market(Always())


@pytest.fixture(scope="module")
def nyse() -> Any:
    return Market(Nyse())


def at(text: str) -> Any:
    return parse_time(text)


def candle_of_day(market: Any, ticker: str, day: Any) -> Any:
    session = market.hours.session(day)
    return market.prices.candle(ticker, session, session.closes)


@pytest.mark.process
def test_another_process_finds_the_same_prices(always: Any) -> None:
    moments = [at("2026-11-22T12:34:56Z") + n * 7_777_777_777 for n in range(20)]
    program = (
        "from exchange.simulator.market import Market; from exchange.simulator.calendar import Always\n"
        f"m = Market(Always()); print([m.price(t, x) for x in reversed({moments}) for t in {TICKERS}])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == str([always.price(ticker, moment) for moment in reversed(moments) for ticker in TICKERS])


@pytest.mark.parametrize("hours", ["always", "nyse"])
def test_a_days_prices_pass_through_its_open_high_low_and_close(request: pytest.FixtureRequest, hours: Any) -> None:
    market = request.getfixturevalue(hours)
    for ticker in TICKERS:
        for day in (date(2026, 5, 6), date(2021, 3, 17), date(2031, 10, 1)):
            session = market.hours.session(day)
            candle = candle_of_day(market, ticker, day)
            seconds = range(session.opens, session.closes, 61 * SECOND)
            prices = [market.price(ticker, moment) for moment in seconds]
            assert 0 < candle.low <= min(prices) <= max(prices) <= candle.high
            assert market.price(ticker, session.opens) == candle.open
            anchors = [price for _, price in market.prices.path_of(ticker, session).anchors]
            assert {candle.high, candle.low} <= set(anchors)


def test_prices_do_not_jump_overnight(always: Any) -> None:
    # Long enough to pass the ends of the series, where it runs backwards: each series is shorter than 3,270 days.
    for ticker, days in (("AAPL", 6600), ("META", 420), ("F", 520)):
        for n in range(days):
            session = always.hours.session(date(2020, 1, 1) + timedelta(days=n))
            before = candle_of_day(always, ticker, session.day - timedelta(days=1))
            assert candle_of_day(always, ticker, session.day).open == before.close
    for n in range(30):
        midnight = at("2026-01-01T00:00:00Z") + n * DAY
        prices = [always.price("MSFT", midnight + second * SECOND) for second in range(-60, 60)]
        steps = [abs(later - earlier) / earlier for earlier, later in pairwise(prices)]
        assert max(steps) < 0.01


def test_prices_are_whole_cents_positive_and_move(always: Any) -> None:
    for ticker in always.listed(0):
        for moment in (at("1995-02-03T04:05:06Z"), at("2026-11-22T12:00:00Z"), at("2060-01-01T00:00:00Z")):
            price = always.price(ticker, moment)
            assert price > 0
            assert price % 100 == 0 or price < 20_000
    prices = [always.price("F", at("2026-11-22T12:00:00Z") + n * SECOND) for n in range(10)]
    assert len(set(prices)) > 1


def test_every_series_moves_within_limits(always: Any) -> None:
    for ticker, series in always.prices.series.items():
        days = [series.day(number) for number in range(series.length // 2)]
        assert all(0.3 < day.close / day_before.close < 1.8 for day_before, day in pairwise(days)), ticker
        assert all(day.low <= min(day.open, day.close) <= max(day.open, day.close) <= day.high for day in days)


def test_bars_agree_with_prices(always: Any, nyse: Any) -> None:
    start = at("2026-11-20T15:00:00Z")
    for bar in always.bars("AAPL", start, start + 600 * SECOND, 60 * SECOND, start):
        assert bar.open == always.price("AAPL", bar.at)
        assert bar.close == always.price("AAPL", bar.at + 60 * SECOND)
    days = nyse.bars("AAPL", at("2026-11-23T00:00:00Z"), at("2026-11-30T00:00:00Z"), DAY, start)
    assert [format_time(bar.at)[:10] for bar in days] == ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-27"]
    candle = candle_of_day(nyse, "AAPL", date(2026, 11, 23))
    assert (days[0].open, days[0].high, days[0].low, days[0].close) == candle
    with pytest.raises(KeyError):
        always.bars("NOSUCH", start, start + DAY, DAY, start)
    with pytest.raises(KeyError):
        always.price("NOSUCH", start)


def test_a_closed_market_stands_at_its_last_close(nyse: Any) -> None:
    friday = candle_of_day(nyse, "IBM", date(2026, 11, 20))
    assert nyse.price("IBM", at("2026-11-22T12:00:00Z")) == friday.close
    assert nyse.price("IBM", at("2026-11-23T14:29:59Z")) == friday.close
    assert nyse.quote("IBM", at("2026-11-23T15:00:00Z")).previous_close == friday.close


def test_the_last_price_is_as_old_as_the_last_close(nyse: Any) -> None:
    friday_close = at("2026-11-20T21:00:00Z")
    for time in ("2026-11-20T21:00:00Z", "2026-11-22T12:00:00Z", "2026-11-23T14:29:59Z"):
        assert nyse.quote("IBM", at(time)).at == friday_close
    assert nyse.quote("IBM", at("2026-11-20T20:59:59Z")).at == at("2026-11-20T20:59:59Z")
    assert nyse.quote("IBM", at("2026-11-23T14:30:00Z")).at == at("2026-11-23T14:30:00Z")


@pytest.mark.parametrize("hours", ["always", "nyse"])
def test_a_quote_describes_the_day_so_far(request: pytest.FixtureRequest, hours: Any) -> None:
    market = request.getfixturevalue(hours)
    for ticker in TICKERS:
        session = market.hours.session(date(2026, 11, 23))
        times = [*range(session.opens, session.closes, 1000 * SECOND), session.closes - SECOND]
        quotes = [market.quote(ticker, time) for time in times]
        for quote in quotes:
            assert quote.price == market.price(ticker, quote.at)
            assert quote.low <= min(quote.open, quote.price) <= max(quote.open, quote.price) <= quote.high
            assert quote.low_52_weeks <= quote.low <= quote.high <= quote.high_52_weeks
        for before, after in pairwise(quotes):
            assert before.volume < after.volume
        day = candle_of_day(market, ticker, session.day)
        assert quotes[0].open == day.open == quotes[-1].open
        assert (quotes[-1].high, quotes[-1].low) == (day.high, day.low)
        assert quotes[0].volume == 0


@pytest.mark.parametrize("hours", [Always, Nyse])
@pytest.mark.parametrize(
    "closures", [[], [Closure(date(2026, 7, 8), None, ""), Closure(date(2026, 9, 9), clock_time(11), "")]]
)
def test_52_weeks_reach_over_the_sessions_of_a_year(hours: Any, closures: Any) -> None:
    market = Market(hours(closures))
    today = date(2026, 11, 23)
    days = [today - timedelta(days=n) for n in range(365)]
    for ticker in TICKERS:
        candles = [candle_of_day(market, ticker, day) for day in days if market.hours.session(day)]
        quote = market.quote(ticker, market.hours.session_at(at("2026-11-23T15:00:00Z")).closes - SECOND)
        assert quote.high_52_weeks == max(candle.high for candle in candles)
        assert quote.low_52_weeks == min(candle.low for candle in candles)


def test_volumes_of_bars_add_up_to_the_days(nyse: Any) -> None:
    session = nyse.hours.session(date(2026, 11, 23))
    volume_of_day = nyse.quote("IBM", session.closes).volume
    for minutes in (1, 7, 60):
        bars = nyse.bars("IBM", session.opens, session.closes, minutes * 60 * SECOND, session.closes)
        assert sum(bar.volume for bar in bars) == volume_of_day
    # The first and the last hour are the busiest, as on a real day.
    hours = [bar.volume for bar in nyse.bars("IBM", session.opens, session.closes, 3900 * SECOND, session.closes)]
    assert len(hours) == 6
    assert min(hours[0], hours[-1]) > max(hours[2:4])


def test_a_bar_is_the_same_for_every_requested_period(always: Any) -> None:
    end = at("2026-11-23T12:00:00Z")
    wide = always.bars("MSFT", end - DAY, end, 300 * SECOND, end)
    narrow = always.bars("MSFT", end - 3600 * SECOND, end, 300 * SECOND, end)
    assert wide[-12:] == narrow
    assert any(bar.high > max(bar.open, bar.close) for bar in narrow)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-23T14:29:59.999999Z", False), ("2026-11-23T14:30:00Z", True), ("2026-11-23T20:59:59.999999Z", True),
        ("2026-11-23T21:00:00Z", False), ("2026-11-22T16:00:00Z", False), ("2026-11-26T16:00:00Z", False),
        ("2026-11-27T17:59:59Z", True), ("2026-11-27T18:00:00Z", False), ("2026-07-01T13:30:00Z", True),
        ("2026-07-01T13:29:59Z", False), ("2026-07-03T15:00:00Z", False), ("2027-01-01T15:00:00Z", False),
        ("2026-03-09T13:30:00Z", True), ("2026-03-06T13:30:00Z", False), ("2026-12-24T18:30:00Z", False),
    ],
)  # fmt: skip
def test_nyse_hours(moment: Any, is_open: Any) -> None:
    assert Nyse().is_open(at(moment)) is is_open


def test_next_open_and_close() -> None:
    hours = Nyse()
    wednesday_evening = at("2026-11-25T22:00:00Z")
    assert hours.next_open(wednesday_evening) == at("2026-11-27T14:30:00Z")
    assert hours.next_close(wednesday_evening) == at("2026-11-27T18:00:00Z")
    assert hours.next_open(at("2026-11-27T14:30:00Z")) == at("2026-11-30T14:30:00Z")
    assert Always().next_open(0) is Always().next_close(0) is None


class Outbox:
    def __init__(self) -> None:
        self.sequences: list[Any] = []

    def put(self, callback_url: str, sequence: int) -> None:
        self.sequences.append(sequence)

    def put_false_report(self, callback_url: str, false_report: Any) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("2026-11-23T15:00:00Z", None), ("2026-11-22T15:00:00Z", "past_market_hours"),
        ("2026-11-26T15:00:00Z", "past_market_hours"), ("2026-11-27T19:00:00Z", "past_market_hours"),
        ("2026-11-27T17:00:00Z", None),
    ],
)  # fmt: skip
def test_trades_execute_only_while_the_market_is_open(nyse: Any, tmp_path: Path, moment: Any, code: str) -> None:
    async def execute() -> Any:
        store, outbox = OrderStore(Database(tmp_path)), Outbox()
        engine = ExecutionEngine(store, nyse, Faults(0), outbox, Clock(at(moment) - machine_time()))
        await engine.accept(ExecuteRequest("http://broker/", [Terms("t", "IBM", "BUY", 2, str(10**12), None)]))
        while not outbox.sequences:
            await asyncio.sleep(0.001)
        order = store.find("t")
        store.database.close()
        return order

    order = asyncio.run(execute())
    assert order.reason_code == code
    if code is None:
        assert order.price == nyse.price("IBM", order.final_at)
        assert order.amount == 2 * order.price


def test_an_exchange_with_nyse_hours_shows_and_enforces_them(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange = new_exchange(EXCHANGE_HOURS="nyse").start()
    before = exchange.get("/v1/clock")
    order = trade()
    exchange.execute(broker.url, order)
    report = exchange.final(order["tradeId"])
    after = exchange.get("/v1/clock")
    assert before["hours"] == "nyse"
    assert before["nextOpen"] > before["at"]
    assert before["nextClose"] > before["at"]
    if before["isOpen"] == after["isOpen"]:
        assert report["reasonCode"] == (None if before["isOpen"] else "past_market_hours")


@pytest.mark.parametrize("text", ["0.0000", "0.0001", "1234.5000", "999999999999999.9999"])
def test_money_is_written_as_it_is_read(text: str) -> None:
    assert format_money(parse_money(text)) == text


def test_moments_are_written_as_they_are_read() -> None:
    assert format_time(at("2026-11-22T14:30:00.1234567+02:00")) == "2026-11-22T12:30:00.123456Z"
    assert at("2026-11-22T00:00:00Z") == from_datetime(datetime(2026, 11, 22, tzinfo=UTC))
    assert format_money(-5) == "-0.0005"
