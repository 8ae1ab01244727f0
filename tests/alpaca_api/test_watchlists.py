"""Watchlists: pages and programs share them, and find them by id or by name."""

import threading
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection

from accounts import watchlists
from accounts.models import Customer
from tests.alpaca_api.conftest import Alpaca
from tests.factories import StockFactory
from tests.races.concurrency import outcomes

AlpacaOf = Callable[[Customer], Alpaca]


@pytest.fixture(autouse=True)
def stocks(db: None) -> None:
    for ticker in ("AAPL", "IBM", "MSFT"):
        StockFactory.create(ticker=ticker)


def test_the_pages_watchlist_is_the_default_list_of_the_alpaca_api(bob: Customer, alpaca_of: AlpacaOf) -> None:
    watchlists.watch(bob.id, "IBM")
    watchlists.watch(bob.id, "AAPL")
    watchlists.watch(bob.id, "IBM")
    call = alpaca_of(bob)
    status, (default,) = call("GET", "watchlists")
    assert (status, default["name"]) == (200, "Primary Watchlist")
    assert [asset["symbol"] for asset in call("GET", f"watchlists/{default['id']}")[1]["assets"]] == ["IBM", "AAPL"]
    call("POST", f"watchlists/{default['id']}", {"symbol": "MSFT"})
    call("DELETE", f"watchlists/{default['id']}/IBM")
    assert watchlists.watched_by(bob.id) == ["AAPL", "MSFT"]
    watchlists.unwatch(bob.id, "AAPL")
    assert watchlists.watched_by(bob.id) == ["MSFT"]
    assert call("DELETE", f"watchlists/{default['id']}") == (204, None)
    assert watchlists.watched_by(bob.id) == []


def test_a_programs_list_of_that_name_becomes_the_default(bob: Customer, alpaca_of: AlpacaOf) -> None:
    alpaca_of(bob)("POST", "watchlists", {"name": watchlists.DEFAULT_NAME, "symbols": ["AAPL"]})
    watchlists.watch(bob.id, "IBM")
    assert watchlists.watched_by(bob.id) == ["AAPL", "IBM"]


def test_by_name(alice: Customer, bob: Customer, alpaca_of: AlpacaOf) -> None:
    call = alpaca_of(bob)
    assert call("POST", "watchlists", {"name": "big tech", "symbols": ["AAPL"]})[0] == 200
    address = "watchlists:by_name?name=big%20tech"
    assert alpaca_of(alice)("GET", address) == (404, {"code": 40410000, "message": "watchlist not found"})
    assert call("POST", address, {"symbol": "NONE"})[1]["message"] == "symbols: asset not found for NONE"
    assert call("POST", address, {"symbol": "IBM"})[0] == 200
    assert [asset["symbol"] for asset in call("GET", address)[1]["assets"]] == ["AAPL", "IBM"]
    assert call("PUT", address, {"name": "small", "symbols": ["MSFT"]})[1]["name"] == "small"
    assert call("GET", address)[0] == 404
    assert call("DELETE", "watchlists:by_name?name=small") == (204, None)
    assert call("GET", "watchlists:by_name")[0] == 422


def test_duplicate_names_and_full_watchlists_are_refused(bob: Customer, alpaca_of: AlpacaOf) -> None:
    call = alpaca_of(bob)
    assert call("POST", "watchlists", {"name": "a", "symbols": None})[0] == 200
    for _ in range(2):
        assert call("POST", "watchlists", {"name": "a"})[1]["message"] == "watchlist name must be unique"
    for number in range(watchlists.WATCHLISTS_MAX - 1):
        watchlists.create(bob.id, f"list {number}")
    assert call("POST", "watchlists", {"name": "one more"})[0] == 422
    full = watchlists.watchlists_of(bob.id)[0]
    watchlists.change(full, tickers=[f"T{number}" for number in range(watchlists.TICKERS_MAX)])
    assert call("POST", f"watchlists/{full.id}", {"symbol": "AAPL"})[0] == 422


@pytest.mark.django_db(transaction=True)
def test_simultaneous_requests_create_no_more_watchlists_than_a_customer_may_have(
    bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchlists, "WATCHLISTS_MAX", 3)
    attempts = outcomes(*(partial(watchlists.create, bob.id, f"list {number}") for number in range(8)))
    refusals = [attempt.error for attempt in attempts if attempt.error]
    assert [type(error) for error in refusals] == [watchlists.TooManyWatchlists] * 5
    assert len(watchlists.watchlists_of(bob.id)) == 3


@pytest.mark.django_db(transaction=True)
def test_additions_at_the_same_moment_are_all_kept(bob: Customer) -> None:
    tickers = [f"T{number}" for number in range(12)]
    start = threading.Barrier(len(tickers))

    def watch(ticker: str) -> None:
        start.wait(20)
        watchlists.watch(bob.id, ticker)
        connection.close()

    threads = [threading.Thread(target=watch, args=(ticker,)) for ticker in tickers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(watchlists.watched_by(bob.id)) == sorted(tickers)
