"""The home page makes the same few calls and queries no matter how many positions there are."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.customers import create_customer
from accounts.models import Customer
from exchange import calendar, gateway, prices
from exchange.messages import Unknown
from exchange.models import Stock
from tests.conftest import StandInExchange
from tests.history import HistoryWriter
from trades import ticker_change
from trades.controls import rules
from trades.pages.home import POSITIONS_SHOWN
from web import cached

POSITIONS = 60
CALLS_MAX, QUERIES_MAX = 5, 15
PageOf = Callable[[Customer], Client]


@pytest.fixture
def many_positions(exchange_with_stocks: StandInExchange) -> Customer:
    """Return a customer with 60 positions, bought over the last months."""
    customer = create_customer("rich@example.com", None)
    writer = HistoryWriter(customer)
    writer.transfer(Decimal(10_000_000), timezone.now() - timedelta(days=90))
    tickers = Stock.objects.filter(listed=True).order_by("ticker").values_list("ticker", flat=True)[:POSITIONS]
    for number, ticker in enumerate(tickers):
        writer.trade(ticker, 10 + number, timezone.now() - timedelta(days=POSITIONS + 2 - number, minutes=3))
    writer.finish()
    return customer


def test_home_reads_all_prices_with_few_calls(
    many_positions: Customer, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def count_calls(name: str) -> Callable[..., Any]:
        original = getattr(gateway, name)

        def count(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        return count

    for name in ("quotes", "bars_of_many", "bars"):
        monkeypatch.setattr(gateway, name, count_calls(name))
    client = page_of(many_positions)
    client.get("/account")
    monkeypatch.setattr(cached, "time", SimpleNamespace(monotonic=lambda: 0.0))
    for read in (calendar.closures, lambda: ticker_change.today("AAPL"), rules):
        read()  # every few seconds, for all pages of a process
    with CaptureQueriesContext(connection) as queries:
        page = client.get("/?all=1")
    assert len(page.context["holdings"]) == POSITIONS
    assert all(holding.spark for holding in page.context["holdings"])
    assert page.context["worth"].chart
    assert 1 <= len(calls) <= CALLS_MAX, calls
    assert len(queries) <= QUERIES_MAX, "\n".join(query["sql"][:200] for query in queries)
    calls.clear()
    prices.forget()
    client.get("/")
    assert set(calls) == {"quotes"}, "past prices are cached"


def test_home_shows_fifty_positions_until_all_are_asked_for(many_positions: Customer, page_of: PageOf) -> None:
    client = page_of(many_positions)
    everything = client.get("/?all=1&sort=name")
    assert len(everything.context["holdings"]) == POSITIONS
    assert "all=1&amp;sort=-name" in everything.content.decode(), "another order shows all of them, too"
    page = client.get("/?sort=name")
    text = page.content.decode()
    assert "Show all 60 positions" in text
    assert 'href="?sort=name&amp;all=1#stocks-title"' in text
    tickers = [holding.ticker for holding in everything.context["holdings"]]
    assert [holding.ticker for holding in page.context["holdings"]] == tickers[:POSITIONS_SHOWN], "the order is of all"
    assert page.context["total"].keys() == everything.context["total"].keys()
    for ticker in tickers:
        assert f'data-ticker="{ticker}" data-counts' in text, "the headline moves with all prices"


def test_the_table_is_sorted_and_adds_up(many_positions: Customer, page_of: PageOf) -> None:
    client = page_of(many_positions)
    page = client.get("/?all=1")
    values = [holding.value for holding in page.context["holdings"]]
    assert values == sorted(values, reverse=True)
    total, worth = page.context["total"], page.context["worth"]
    assert total["value"] == sum(values)
    assert abs(sum(holding.share for holding in page.context["holdings"]) - total["value"] / worth.value) < Decimal(
        "1e-9"
    )
    names = [holding.name.lower() for holding in client.get("/?all=1&sort=name").context["holdings"]]
    assert names == sorted(names)
    assert 'aria-sort="ascending"' in client.get("/?sort=name").content.decode()
    gains = [holding.day_gain for holding in client.get("/?all=1&sort=-day").context["holdings"]]
    assert gains == sorted(gains, reverse=True)
    assert client.get("/?sort=nonsense").status_code == 200


def test_the_watchlist_is_changed_on_its_own_page(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    for ticker in ("KO", "AAPL", "IBM"):
        client.post(f"/stocks/{ticker}/watch", {"from_list": "1"})
    assert [stock.ticker for stock in client.get("/watchlist?q=exxon").context["found"]] == ["XOM"]
    assert client.post("/stocks/IBM/watch", {"from_list": "1", "up": "1"})["Location"] == "/watchlist"
    client.post("/stocks/KO/watch", {"from_list": "1", "off": "1"})
    assert [holding.ticker for holding in client.get("/").context["watched"]] == ["IBM", "AAPL"]
    client.post("/stocks/IBM/watch", {"from_list": "1", "up": "1"})
    assert [holding.ticker for holding in client.get("/").context["watched"]] == ["IBM", "AAPL"], "it was already first"


def test_an_old_price_shows_its_age(many_positions: Customer, page_of: PageOf, monkeypatch: pytest.MonkeyPatch) -> None:
    client = page_of(many_positions)
    assert "Prices are from" not in client.get("/").content.decode()
    monkeypatch.setattr(prices.time, "time", lambda: timezone.now().timestamp() + 180)
    monkeypatch.setattr(gateway, "quotes", _fail)
    text = client.get("/").content.decode()
    assert "Prices are from" in text
    assert "3 minutes ago" in text


def _fail(tickers: list[str]) -> None:
    raise Unknown("unavailable")
