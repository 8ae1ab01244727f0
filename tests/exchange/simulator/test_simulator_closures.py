"""Days announced at short notice: the market stays closed, or closes early, for the clock, the calendar and trades."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from datetime import time as clock_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exchange.simulator.calendar import Always, Closure, Nyse, eastern
from exchange.simulator.formats import SECOND, format_time, parse_time
from exchange.simulator.market import Market
from tests.exchange.simulator.conftest import Broker, Exchange

EASTERN = ZoneInfo("America/New_York")


@pytest.fixture
def exchange(exchange: Exchange) -> Iterator[Any]:
    yield exchange
    exchange.call("DELETE", "/v1/closures")
    exchange.call("DELETE", "/v1/clock")


@pytest.fixture(scope="module")
def nyse_exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    exchange = Exchange(tmp_path_factory.mktemp("nyse"), EXCHANGE_HOURS="nyse").start()
    yield exchange
    exchange.stop()


def put(exchange: Exchange, *closures: Any) -> Any:
    return exchange.call("PUT", "/v1/closures", {"closures": list(closures)})


def test_closures_are_created_read_replaced_and_deleted(exchange: Exchange) -> None:
    mourning = {"date": "2031-03-04", "close": None, "reason": "National day of mourning"}
    early = {"date": "2031-03-05", "close": "13:00", "reason": ""}
    assert put(exchange, mourning) == (200, {"closures": [mourning]})
    assert put(exchange, early)[1] == {"closures": [mourning, early]}
    assert put(exchange, {"date": "2031-03-04", "close": "14:30:15"})[0] == 200
    replaced = {"date": "2031-03-04", "close": "14:30:15", "reason": ""}
    assert exchange.get("/v1/closures") == {"closures": [replaced, early]}
    assert exchange.call("DELETE", "/v1/closures?date=2031-03-05") == (200, {"closures": [replaced]})
    assert exchange.call("DELETE", "/v1/closures") == (200, {"closures": []})
    assert exchange.call("DELETE", "/v1/closures") == (200, {"closures": []})


@pytest.mark.parametrize(
    ("closures", "field"),
    [
        (None, "closures"), ([], "closures"), ({}, "closures"), ([5], "closures[0]"), ([{}], "closures[0].date"),
        ([{"date": "soon"}], "closures[0].date"), ([{"date": "2020-01-02"}], "closures[0].date"),
        ([{"date": "2031-03-04", "close": "1 pm"}], "closures[0].close"),
        ([{"date": "2031-03-04", "close": "25:00"}], "closures[0].close"),
        ([{"date": "2031-03-04", "close": "19:30"}], "closures[0].close"),
        ([{"date": "2031-03-04", "reason": 5}], "closures[0].reason"),
        ([{"date": "2031-03-04"}, {"date": "x"}], "closures[1].date"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_closures_change_nothing(exchange: Exchange, closures: Any, field: str) -> None:
    status, body = exchange.call("PUT", "/v1/closures", {"closures": closures})
    assert status == 422
    assert [error["field"] for error in body["errors"]] == [field]
    assert exchange.get("/v1/closures") == {"closures": []}


def test_an_exchange_that_never_closes_can_be_closed_and_opened_again(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    morning = datetime(2031, 3, 4, 10, 0, tzinfo=EASTERN)
    exchange.call("PUT", "/v1/clock", {"offsetSeconds": (morning - datetime.now(UTC)).total_seconds()})
    assert put(exchange, {"date": "2031-03-04", "close": "10:00:02"})[0] == 200
    assert exchange.get("/v1/clock")["nextClose"] == "2031-03-04T15:00:02.000000Z"
    wait_until(lambda: not exchange.get("/v1/clock")["isOpen"])
    order = trade(expiresAt=None)
    exchange.execute(broker.url, order)
    assert exchange.final(order["tradeId"])["reasonCode"] == "past_market_hours"
    assert exchange.get("/v1/clock")["nextOpen"] == "2031-03-05T00:00:00.000000Z"
    assert exchange.get("/v1/quotes/AAPL")["at"] == "2031-03-04T15:00:02.000000Z"
    exchange.call("DELETE", "/v1/closures")
    assert exchange.get("/v1/clock")["isOpen"]
    order = trade(expiresAt=None)
    exchange.execute(broker.url, order)
    assert exchange.final(order["tradeId"])["status"] == "FILLED"


def test_clock_and_calendar_include_closures(nyse_exchange: Exchange) -> None:
    # A week without holidays in the future, whatever today's date is.
    put(nyse_exchange, {"date": "2031-03-04", "close": "13:00"}, {"date": "2031-03-05"})
    days = nyse_exchange.get("/v1/calendar?start=2031-03-03&end=2031-03-06")["results"]
    assert [(day["date"], day["close"], day["halfDay"]) for day in days] == [
        ("2031-03-03", "16:00", False), ("2031-03-04", "13:00", True), ("2031-03-06", "16:00", False),
    ]  # fmt: skip
    tuesday = datetime(2031, 3, 4, 12, 0, tzinfo=EASTERN)
    nyse_exchange.call("PUT", "/v1/clock", {"offsetSeconds": round((tuesday - datetime.now(UTC)).total_seconds())})
    clock = nyse_exchange.get("/v1/clock")
    assert clock["isOpen"]
    assert clock["nextClose"] == "2031-03-04T18:00:00.000000Z"
    assert clock["nextOpen"] == "2031-03-06T14:30:00.000000Z"
    status_and_body = put(nyse_exchange, {"date": "2031-03-04"})
    assert status_and_body[0] == 422
    assert "opened" in status_and_body[1]["errors"][0]["detail"]
    weekend = put(nyse_exchange, {"date": "2031-03-08"})
    assert weekend[0] == 422


def test_closures_outlive_the_process(new_exchange: Callable[..., Exchange]) -> None:
    exchange = new_exchange().start()
    closure = {"date": "2031-03-04", "close": "13:00", "reason": "storm"}
    put(exchange, closure)
    exchange.kill()
    exchange.start()
    assert exchange.get("/v1/closures") == {"closures": [closure]}


def formatted(time: Any) -> Any:
    return None if time is None else format_time(time)


def test_hours_around_closures() -> None:
    thursday, friday = date(2026, 11, 19), date(2026, 11, 20)
    hours = Always([Closure(thursday, clock_time(13), ""), Closure(friday, None, "")])
    noon = parse_time("2026-11-19T12:00:00Z")
    assert hours.is_open(noon)
    assert formatted(hours.next_close(noon)) == "2026-11-19T18:00:00.000000Z"
    assert formatted(hours.next_open(noon)) == "2026-11-21T00:00:00.000000Z"
    evening = parse_time("2026-11-19T18:00:00Z")
    assert not hours.is_open(evening)
    assert formatted(hours.next_open(evening)) == "2026-11-21T00:00:00.000000Z"
    assert hours.next_close(evening) is None
    later = parse_time("2026-11-22T00:00:00Z")
    assert hours.next_open(later) is hours.next_close(later) is None
    before = parse_time("2026-11-18T00:00:00Z")
    assert formatted(hours.next_close(before)) == "2026-11-19T18:00:00.000000Z"


def test_an_early_close_changes_no_earlier_price_and_freezes_the_last_one() -> None:
    regular, early = Market(Nyse()), Market(Nyse([Closure(date(2026, 11, 23), clock_time(11), "")]))
    opens, closes = eastern(date(2026, 11, 23), clock_time(9, 30)), eastern(date(2026, 11, 23), clock_time(11))
    for time in range(opens, closes, 500 * SECOND):
        assert early.price("AAPL", time) == regular.price("AAPL", time)
    last = regular.price("AAPL", closes)
    assert early.price("AAPL", closes + 3600 * SECOND) == last
    tuesday = eastern(date(2026, 11, 24), clock_time(10))
    assert early.quote("AAPL", tuesday).previous_close == last
    evening = closes + 6 * 3600 * SECOND
    assert early.quote("AAPL", evening).at == closes
    assert early.quote("AAPL", evening).high <= regular.quote("AAPL", evening).high
    assert early.quote("AAPL", evening).volume < regular.quote("AAPL", evening).volume


def test_closures_change_later_quotes() -> None:
    market = Market(Nyse())
    noon = eastern(date(2026, 11, 24), clock_time(12))
    before = market.quote("AAPL", noon)
    market.set_closures([Closure(date(2026, 11, 23), None, "")])
    assert market.quote("AAPL", noon).previous_close == market.price("AAPL", noon - 2 * 86_400 * SECOND)
    market.set_closures([])
    assert market.quote("AAPL", noon) == before
