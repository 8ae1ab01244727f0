"""Last prices come from the cache, and one slow part never delays the others."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import Customer
from exchange import gateway, market, prices
from exchange.messages import Unknown
from tests.conftest import StandInExchange
from tests.exchange.conftest import BadExchange


def test_every_process_has_the_prices_that_the_sweep_has_read(
    exchange: StandInExchange, db: None, settings: Any
) -> None:
    count = market.refresh()
    assert prices.refresh() == count
    prices.forget()  # like a process that has read no prices itself
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    known = prices.known(["AAPL", "MSFT", "NOSUCH"])
    assert set(known) == {"AAPL", "MSFT"}
    assert known["AAPL"].price > 0
    assert prices.quotes(["AAPL"]) == {"AAPL": known["AAPL"]}, "pages use them too while the exchange is unavailable"


@pytest.mark.parametrize("fields", [slice(-1), slice(3)], ids=["one field less", "the first fields only"])
def test_prices_that_an_older_release_has_cached_are_read(fields: slice, db: None) -> None:
    class Older:
        def __reduce__(self) -> tuple[Any, ...]:
            state = prices.Quote(Decimal(10), Decimal(9), timezone.now()).__reduce_ex__(4)[2]
            return object.__new__, (prices.Quote,), state[fields]

    cache.set(prices.KEY, {"AAPL": (time.time(), Older())})
    prices.forget()
    quote = prices.quote("AAPL")
    assert (quote.price, quote.is_last_known, quote.volume) == (10, False, None)


def test_a_process_reads_the_shared_prices_again_when_they_have_changed(
    exchange: StandInExchange, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.refresh()
    assert prices.refresh() > 0
    prices.forget()
    tables_read: list[str] = []

    def get(key: str, *more: Any) -> Any:
        tables_read.extend([key] if key == prices.KEY else [])
        return real_get(key, *more)

    real_get, real_time, later_by = cache.get, time.monotonic, 0.0
    monkeypatch.setattr(prices.cache, "get", get)
    monkeypatch.setattr(time, "monotonic", lambda: real_time() + later_by)

    def price_a_second_later() -> Decimal:
        nonlocal later_by
        later_by += prices.QUOTE_SECONDS + 0.01
        return prices.known(["AAPL"])["AAPL"].price

    first = [price_a_second_later() for _ in range(3)]
    assert (first, len(tables_read)) == ([first[0]] * 3, 1), "it reads them once while they are the same"
    older = {"AAPL": (time.time(), prices.Quote(first[0] + 1, first[0], timezone.now()))}
    cache.set(prices.KEY, older)
    cache.delete(prices.STAMP_KEY)
    assert price_a_second_later() == first[0] + 1, "an older release's sweep sets no stamp"
    cache.set(prices.STAMP_KEY, "1")
    price_a_second_later()
    cache.set(prices.KEY, {"AAPL": (time.time(), prices.Quote(first[0] + 2, first[0], timezone.now()))})
    assert price_a_second_later() == first[0] + 1
    monkeypatch.setattr(prices, "COPY_SECONDS_MAX", 0.0)
    assert price_a_second_later() == first[0] + 2, "nor does it change a stamp that is there"


def test_prices_that_another_sweep_has_just_read_are_not_read_again(exchange: StandInExchange, db: None) -> None:
    market.refresh()
    assert prices.refresh() > 0
    assert prices.refresh() == 0


def test_a_price_that_is_too_old_is_left_out(exchange: StandInExchange, db: None) -> None:
    market.refresh()
    prices.refresh()
    time.sleep(0.1)
    assert prices.known(["AAPL"], 0.05) == {}
    assert "AAPL" in prices.known(["AAPL"], 60)


def test_without_known_prices_the_result_is_empty_and_immediate(bad_exchange: BadExchange, db: None) -> None:
    bad_exchange.handle = lambda handler: bad_exchange.ended.wait(30)
    started_at = time.monotonic()
    assert prices.known(["AAPL"]) == {}
    assert time.monotonic() - started_at < 0.5
    assert bad_exchange.requests == []


def test_placing_does_not_wait_for_quotes_that_drip(
    exchange: StandInExchange,
    bad_exchange: BadExchange,
    alice: Customer,
    api_of: Callable[[Customer], Client],
    settings: Any,
) -> None:
    settings.EXCHANGE_URL = exchange.url
    market.refresh()
    prices.refresh()
    settings.EXCHANGE_URL = bad_exchange.url

    def drip(handler: Any) -> None:
        handler.request.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not bad_exchange.ended.wait(0.05):
            handler.request.sendall(b"x")

    bad_exchange.handle = drip
    time.sleep(prices.QUOTE_SECONDS)
    page = threading.Thread(target=lambda: prices.quotes(["AAPL"]))
    page.start()
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    for _ in range(3):
        started_at = time.monotonic()
        response = api_of(alice).post("/api/v1/trades", body, "application/json")
        assert (response.status_code, response.json()["status"]) == (201, "PLACED")
        assert time.monotonic() - started_at < 1
    page.join()


def test_while_the_exchange_drips_one_thread_waits_and_the_others_get_known_prices(
    exchange: StandInExchange, bad_exchange: BadExchange, db: None, settings: Any
) -> None:
    """Regression test: a dripping exchange used to block every thread of a web server."""
    settings.EXCHANGE_URL = exchange.url
    market.refresh()
    prices.refresh()
    settings.EXCHANGE_URL = bad_exchange.url

    def drip(handler: Any) -> None:
        handler.request.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not bad_exchange.ended.wait(0.05):
            handler.request.sendall(b"x")

    bad_exchange.handle = drip
    time.sleep(prices.QUOTE_SECONDS)
    gate = threading.Barrier(8)

    def seconds_for_quotes(_: int) -> float:
        gate.wait()
        started_at = time.monotonic()
        assert "AAPL" in prices.quotes(["AAPL"])
        return time.monotonic() - started_at

    with ThreadPoolExecutor(8) as threads:
        seconds = sorted(threads.map(seconds_for_quotes, range(8)))
    assert len(bad_exchange.requests) == 1
    assert seconds[-2] < 0.5
    assert seconds[-1] < gateway.QUOTES_SECONDS_MAX + 0.5


def test_without_a_shared_cache_a_process_keeps_prices_fresh_by_itself(
    exchange: StandInExchange, transactional_db: None, settings: Any
) -> None:
    market.refresh()
    market.forget()
    assert market.is_listed("AAPL")
    settings.CACHE_URL = ""
    deadline = time.monotonic() + 10
    while not prices.known(["AAPL"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_quote_of_an_unlisted_stock_raises_not_listed(exchange: StandInExchange, db: None, settings: Any) -> None:
    assert prices.quote("AAPL").price > Decimal(0)
    with pytest.raises(gateway.NotListed):
        prices.quote("NOSUCH")
    with pytest.raises(gateway.NotListed):
        prices.quote("no such")
    prices.forget()
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    with pytest.raises(Unknown):
        prices.quote("KO")


def test_the_shared_cache_is_the_brokers_by_default() -> None:
    assert configured.CACHE_URL == configured.BROKER_URL
