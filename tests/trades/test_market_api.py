"""The REST API of positions, quotes and market hours."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.people import claim, send_report
from tests.responses import MOMENT, MONEY, assert_problem
from trades.models import Status
from trades.place import place_trade

CLOSED_PORT = "http://127.0.0.1:1"


@pytest.fixture
def client(alice: Customer, api_of: Any) -> Client:
    """Return an API client for Alice."""
    return api_of(alice)


def test_positions_are_valued_at_the_last_price(exchange: StandInExchange, client: Client) -> None:
    (position,) = client.get("/api/v1/positions").json()
    assert set(position) == {
        *("stockTicker", "quantity", "held", "averagePrice", "lastPrice", "isLastKnown", "marketValue"),
    }
    assert not position["isLastKnown"]
    assert position | {"stockTicker": "AAPL", "quantity": 10, "held": 0, "averagePrice": "100.0000"} == position
    assert MONEY.fullmatch(position["lastPrice"])
    assert Decimal(position["marketValue"]) == 10 * Decimal(position["lastPrice"])
    assert MONEY.fullmatch(position["marketValue"])


def test_shares_in_a_sell_in_flight_are_held(exchange: StandInExchange, client: Client, alice: Customer) -> None:
    place_trade(alice.id, "AAPL", "SELL", 4)
    claim(alice)
    position = client.get("/api/v1/positions/AAPL").json()
    assert (position["quantity"], position["held"]) == (10, 4)


def test_positions_have_no_prices_while_the_exchange_is_unavailable(client: Client, settings: Any) -> None:
    settings.EXCHANGE_URL = CLOSED_PORT
    (position,) = client.get("/api/v1/positions").json()
    assert (position["quantity"], position["lastPrice"], position["marketValue"]) == (10, None, None)


def test_a_stock_that_was_sold_completely_is_not_a_position(client: Client, alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 10)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("100"))
    claim(alice)
    assert client.get("/api/v1/positions").json() == []
    assert_problem(client.get("/api/v1/positions/AAPL"), 404, "not_found")


def test_customers_see_only_their_own_positions(bob: Customer, alice: Customer, api_of: Any) -> None:
    assert api_of(bob).get("/api/v1/positions").json() == []
    assert_problem(api_of(bob).get("/api/v1/positions/AAPL"), 404, "not_found")


@pytest.mark.parametrize("ticker", ["%00", "MSFT", "A" * 3000, "%F0%9F%92%A9", "%ff", "a b", "..", "A%3Fb=c", "A%23"])
@pytest.mark.parametrize("resource", ["positions", "quotes"])
def test_an_invalid_ticker_is_404(exchange: StandInExchange, client: Client, resource: str, ticker: str) -> None:
    if (resource, ticker) != ("quotes", "MSFT"):
        assert_problem(client.get(f"/api/v1/{resource}/{ticker}"), 404, "not_found")


def test_a_quote_has_a_price_and_a_time(exchange: StandInExchange, client: Client) -> None:
    body = client.get("/api/v1/quotes/aapl").json()
    assert set(body) == {"stockTicker", "price", "at"}
    assert body["stockTicker"] == "AAPL"
    assert MONEY.fullmatch(body["price"])
    assert MOMENT.fullmatch(body["at"])


def test_a_ticker_cannot_smuggle_in_a_query(exchange: StandInExchange, client: Client) -> None:
    assert_problem(client.get("/api/v1/quotes/AAPL%3Fx=1"), 404, "not_found")


def test_the_market_shows_its_hours(exchange: StandInExchange, client: Client) -> None:
    body = client.get("/api/v1/market").json()
    assert set(body) == {"isOpen", "hours", "nextOpen", "nextClose"}
    assert (body["isOpen"], body["hours"]) == (True, "always")


@pytest.mark.parametrize("path", ["/api/v1/quotes/AAPL", "/api/v1/market"])
def test_quotes_and_hours_are_503_while_the_exchange_is_unavailable(client: Client, settings: Any, path: str) -> None:
    settings.EXCHANGE_URL = CLOSED_PORT
    response = client.get(path)
    assert_problem(response, 503, "exchange_unavailable")
    assert int(response["Retry-After"]) > 0
