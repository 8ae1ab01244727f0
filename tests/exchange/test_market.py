"""Listed stocks and market hours, as cached by a process."""

import json
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from exchange import calendar, market
from exchange.messages import Unknown
from exchange.models import Stock
from tests.conftest import StandInExchange
from tests.exchange.conftest import AT, BadExchange
from tests.factories import StockFactory
from web.timezones import EASTERN, eastern_date

CLOCK = {"isOpen": True, "hours": "nyse", "nextOpen": None, "nextClose": "2100-01-01T00:00:00Z"}


@pytest.fixture(autouse=True)
def _no_cached_market() -> Iterator[None]:
    market.forget()
    yield
    market.forget()


def list_stocks(bad_exchange: BadExchange, *rows: Any) -> None:
    bad_exchange.respond(json.dumps({"results": rows}).encode())


def stock(ticker: str, **more: Any) -> dict[str, Any]:
    return {"stockTicker": ticker, "name": f"{ticker} Inc", "exchange": "X", "industry": "Y"} | more


def test_the_list_is_read_into_the_database(exchange: StandInExchange, db: None) -> None:
    count = market.refresh()
    assert count == Stock.objects.filter(listed=True).count() > 100
    assert Stock.objects.get(ticker="AAPL").name


def test_reading_it_again_changes_nothing(exchange: StandInExchange, db: None) -> None:
    assert market.refresh() == market.refresh() == Stock.objects.count()


def test_a_missing_stock_is_delisted_only_if_it_stays_missing(
    bad_exchange: BadExchange, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_stocks(bad_exchange, stock("AAA"), stock("BBB"))
    market.refresh()
    list_stocks(bad_exchange, stock("AAA"))
    for _ in range(3):
        market.refresh()
    market.forget()
    assert market.is_listed("BBB"), "it was missing only for a moment"
    assert Stock.objects.get(ticker="BBB").missing_since is not None
    list_stocks(bad_exchange, stock("AAA"), stock("BBB"))
    market.refresh()
    assert Stock.objects.get(ticker="BBB").missing_since is None
    list_stocks(bad_exchange, stock("AAA"))
    market.refresh()
    monkeypatch.setattr(market, "DELIST_AFTER", timedelta(seconds=-1))
    market.refresh()
    market.forget()
    assert (market.is_listed("AAA"), market.is_listed("BBB")) == (True, False)
    assert Stock.objects.get(ticker="BBB").name == "BBB Inc"
    list_stocks(bad_exchange, stock("AAA"), stock("BBB"))
    market.refresh()
    market.forget()
    assert market.is_listed("BBB"), "a delisted stock can be listed again"


def test_a_much_shorter_list_waits_for_staff_to_accept_it(
    exchange: StandInExchange, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market, "DELIST_AFTER", timedelta(seconds=-1))
    count = market.refresh()
    exchange.faults(latencyMs=3_600_000, tickersMax=1)
    for _ in range(2):
        assert market.refresh() == 1
    assert Stock.objects.filter(listed=True).count() == count
    short_list = market.short_list()
    assert short_list is not None
    assert (short_list.listed, len(short_list.missing)) == (count, count - 1)
    assert market.accept_short_list("sam") == count - 1
    market.refresh()
    assert market.short_list() is None
    assert Stock.objects.filter(listed=True).count() == 1
    assert market.accept_short_list("sam") == 0


def test_a_complete_list_is_accepted_without_staff(exchange: StandInExchange, db: None) -> None:
    market.refresh()
    exchange.faults(latencyMs=3_600_000, tickersMax=1)
    market.refresh()
    assert market.short_list() is not None
    exchange.faults(latencyMs=3_600_000)
    market.refresh()
    assert market.short_list() is None
    assert not Stock.objects.exclude(missing_since=None).exists()


def test_the_exchanges_closures_are_added_and_removed(exchange: StandInExchange, db: None) -> None:
    # The stand-in's days begin at midnight UTC, when New York's next session may still be on the stand-in's today.
    session = calendar.next_session(timezone.now() + timedelta(days=1))
    assert session is not None
    exchange.call(
        "PUT", "/v1/closures", {"closures": [{"date": session.day.isoformat(), "close": None, "reason": "-"}]}
    )
    try:
        market.refresh()
        calendar.expire()
        assert calendar.session(session.day) is None
    finally:
        exchange.call("DELETE", "/v1/closures")
    market.refresh()
    calendar.expire()
    assert calendar.session(session.day) == session


def test_an_empty_list_delists_nothing(bad_exchange: BadExchange, db: None) -> None:
    list_stocks(bad_exchange, stock("AAA"))
    market.refresh()
    list_stocks(bad_exchange)
    assert market.refresh() == 0
    assert market.is_listed("AAA")


@pytest.mark.parametrize(
    "row",
    [
        stock("A" * 13),
        stock("a\x00"),
        stock(""),
        stock("AAA"),
        stock("BBB", name="n" * 1000, exchange=5, industry="\x00"),
    ],
    ids=lambda row: repr(row["stockTicker"])[:12],
)
def test_one_invalid_entry_does_not_block_the_list(bad_exchange: BadExchange, db: None, row: dict[str, Any]) -> None:
    list_stocks(bad_exchange, stock("AAA"), row)
    market.refresh()
    assert market.is_listed("AAA")


def test_the_stored_list_is_used_while_the_exchange_is_down(exchange: StandInExchange, db: None) -> None:
    market.refresh()
    exchange.faults(down=True)
    with pytest.raises(Unknown):
        market.refresh()
    market.forget()
    assert (market.is_listed("AAPL"), market.is_listed("NOSUCH")) == (True, False)


def test_without_a_list_every_ticker_counts_as_listed(db: None) -> None:
    assert market.is_listed("ANYTHING")


def test_the_list_is_not_read_again_for_every_trade(
    exchange: StandInExchange, db: None, django_assert_num_queries: Any
) -> None:
    market.refresh()
    with django_assert_num_queries(1):
        assert all(market.is_listed("AAPL") for _ in range(10))


def test_unknown_stocks_are_looked_up_again_but_not_every_time(
    exchange: StandInExchange, db: None, django_assert_max_num_queries: Any
) -> None:
    market.refresh()
    with django_assert_max_num_queries(3):
        assert not any(market.is_listed("NOSUCH") for _ in range(50))


def test_a_newly_listed_stock_is_found(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    StockFactory.create(ticker="AAA")
    assert not market.is_listed("BBB")
    StockFactory.create(ticker="BBB")
    monkeypatch.setattr(market, "MISS_AGE_SECONDS_MAX", -1.0)
    assert market.is_listed("BBB")
    assert market.is_listed("AAA")


def test_the_hours_are_requested_only_occasionally(bad_exchange: BadExchange, db: None) -> None:
    bad_exchange.respond(json.dumps(CLOCK).encode())
    clocks = [market.clock() for _ in range(20)]
    assert all(clock is clocks[0] for clock in clocks)
    assert len(bad_exchange.requests) == 1


def test_the_last_hours_are_used_while_the_exchange_is_down(bad_exchange: BadExchange, db: None) -> None:
    bad_exchange.respond(json.dumps(CLOCK).encode())
    clock = market.clock()
    bad_exchange.respond(b"", "500 Internal Server Error")
    market.last_clock.expire()
    assert market.clock() is clock


def test_before_the_first_response_there_are_no_hours(bad_exchange: BadExchange, db: None) -> None:
    bad_exchange.respond(b"", "500 Internal Server Error")
    assert market.clock() is None
    market.last_clock.expire()
    assert market.clock() is None
    assert len(bad_exchange.requests) == 1, "an exchange that has just failed is not called again"


@pytest.mark.parametrize(("closes", "is_open"), [(None, False), (time(0, 1), False), (time(23, 59, 59), True)])
def test_a_closure_of_staff_closes_the_market(
    bad_exchange: BadExchange, db: None, closes: time | None, is_open: bool
) -> None:
    bad_exchange.respond(json.dumps(CLOCK).encode())
    now = datetime.fromisoformat(AT)
    calendar.set_closure(eastern_date(now), closes, "Storm", by="sam")
    clock = market.clock()
    assert clock is not None
    assert clock["isOpen"] is is_open
    if is_open:
        assert clock["nextClose"].astimezone(EASTERN).time() == closes
    else:
        following = calendar.next_session(now)
        assert following is not None
        assert (clock["nextOpen"], clock["nextClose"]) == (following.opens_at, following.closes_at)
