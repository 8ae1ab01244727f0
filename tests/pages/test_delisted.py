"""The pages show a stock that the exchange no longer lists at its last known price."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import ClosingPrice, Customer
from accounts.statements import Month
from exchange import exchange_time, market, prices
from exchange.models import Stock
from tests.conftest import StandInExchange
from tests.factories import CustomerFactory, PositionFactory, PostingFactory
from tests.people import receive_shares
from trades.closing_prices import store_closing_prices

SENTENCE = "The exchange no longer lists AAPL, so you can"
ENDS = datetime(2033, 1, 4, tzinfo=UTC)  # the day from which the exchange no longer lists ABC, but only in these tests


def test_the_page_of_a_delisted_stock_explains_what_happens_to_the_shares(
    exchange_with_stocks: StandInExchange, alice: Customer, bob: Customer, page_of: Callable[[Customer], Client]
) -> None:
    assert SENTENCE not in page_of(alice).get("/stocks/AAPL").content.decode()
    Stock.objects.filter(ticker="AAPL").update(listed=False)
    owner = page_of(alice).get("/stocks/AAPL").content.decode()
    assert SENTENCE in owner
    assert "Your 10 shares stay yours. The price and the value shown are the last ones known." in owner
    assert "You can still place a trade" not in owner
    other = page_of(bob).get("/stocks/AAPL").content.decode()
    assert SENTENCE in other
    assert "stay yours" not in other


@pytest.fixture
def owner(exchange_with_stocks: StandInExchange, alice: Customer) -> Customer:
    """Return Alice, who has 2 ABC too."""
    receive_shares(alice, "ABC", 2, Decimal(100))
    return alice


@pytest.fixture
def last_price(exchange_with_stocks: StandInExchange) -> Iterator[Decimal]:
    """Let the exchange delist ABC. Return the last price, which no cache has anymore."""
    prices.refresh()
    prices.store()
    last_price = prices.known(["ABC"])["ABC"].price  # not a newer one
    body = {"kind": "DELISTING", "stockTicker": "ABC", "exDate": f"{ENDS:%Y-%m-%d}"}
    exchange_with_stocks.call("POST", "/v1/corporate-actions", {"actionId": "delisting-of-abc", **body})
    exchange_with_stocks.move_clock((ENDS - timezone.now()).total_seconds() + 86_400)
    market.refresh()
    cache.delete(prices.KEY)
    market.forget()
    prices.forget()
    yield last_price
    exchange_with_stocks.move_clock(0)
    exchange_time.forget()


def test_a_position_in_a_delisted_stock_keeps_its_last_price(
    owner: Customer, last_price: Decimal, page_of: Callable[[Customer], Client], api_of: Callable[[Customer], Client]
) -> None:
    position = api_of(owner).get("/api/v1/positions/ABC").json()
    assert (Decimal(position["lastPrice"]), position["isLastKnown"]) == (last_price, True)
    assert Decimal(position["marketValue"]) == 2 * last_price
    assert api_of(owner).get("/api/v1/quotes/ABC").status_code == 404
    assert Decimal(api_of(owner).get("/alpaca/v2/positions/ABC").json()["current_price"]) == last_price
    Stock.objects.filter(ticker="ABC").update(listed=False)  # as after some minutes without it in the list
    page = page_of(owner).get("/stocks/ABC").content.decode()
    assert f"${last_price:,.2f}" in page
    assert "The price and the value shown are the last ones known, from" in page


def test_home_values_a_delisted_position_and_says_how(
    owner: Customer, last_price: Decimal, page_of: Callable[[Customer], Client]
) -> None:
    response = page_of(owner).get("/")
    page = response.content.decode()
    assert "Price unavailable" not in page
    held = {holding.ticker: holding for holding in response.context["holdings"]}
    assert held["ABC"].value == 2 * last_price
    assert response.context["worth"].value == sum(holding.value for holding in held.values()) + 800
    assert "last known" in page
    assert "No longer listed, so valued at the last price known: ABC." in page


def test_a_statement_values_a_delisted_stock_at_its_last_price_and_says_so(
    last_price: Decimal, page_of: Callable[[Customer], Client]
) -> None:
    Stock.objects.filter(ticker="ABC").update(last_price_at=timezone.now() - timedelta(days=90))
    month = Month.of(timezone.now()).preceding
    holder: Customer = CustomerFactory.create()
    for ticker, change in (("", 1000), ("ABC", 2)):
        kind, at = "buy" if ticker else "deposit", month.begins + timedelta(days=1)
        PostingFactory.create(customer=holder, ticker=ticker, kind=kind, change=change, created_at=at)
    PositionFactory.create(customer=holder, ticker="ABC", quantity=2)
    store_closing_prices()
    stored = ClosingPrice.objects.filter(day=month.last).values_list("price", "is_last_known")
    assert stored.get(ticker="ABC") == (last_price, True)
    page = page_of(holder).get(f"/statements/{month.year}-{month.month}").content.decode()
    assert "No longer listed, so valued at the last price known: ABC." in page
    assert f"${2 * last_price:,.2f}" in page
