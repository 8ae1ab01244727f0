"""Paging by the last row's time loses nothing, even if many trades were inserted together."""

from decimal import Decimal
from urllib.parse import quote

import pytest
from django.test import Client

from accounts import tokens
from accounts.models import Customer
from tests.alpaca_api.conftest import Alpaca
from tests.people import open_account
from trades.models import Trade
from trades.place import insert_set, place_trade
from trades.transitions import Placing

pytestmark = pytest.mark.django_db(transaction=True)
TRADES = 120


@pytest.fixture
def customer(transactional_db: None) -> Customer:
    """A customer with 120 trades, of which all but the first were recorded by one statement."""
    customer: Customer = open_account("many@example.com", Decimal(1))
    place_trade(customer.id, "AAPL", "BUY", 1)
    together = [Trade(customer=customer, ticker="AAPL", type="BUY", quantity=1) for _ in range(TRADES - 1)]
    insert_set([Placing(trade, "api") for trade in together])
    assert Trade.objects.filter(customer=customer).count() == TRADES
    return customer


@pytest.mark.parametrize(("parameter", "direction"), [("until", "desc"), ("after", "asc")])
@pytest.mark.parametrize("limit", [7, 50])
def test_orders(customer: Customer, parameter: str, direction: str, limit: int) -> None:
    alpaca, read, following = Alpaca(customer), [], ""
    while True:
        status, page = alpaca("GET", f"orders?status=all&limit={limit}&direction={direction}{following}")
        assert status == 200, page
        if not page:
            break
        read += [order["id"] for order in page]
        following = f"&{parameter}={quote(page[-1]['submitted_at'])}"
    assert len(read) == len(set(read)) == TRADES


@pytest.mark.parametrize("limit", [7, 50])
def test_trades(customer: Customer, limit: int) -> None:
    client = Client(headers={"Authorization": f"Bearer {tokens.issue(customer, 'test').token}"})
    read: list[str] = []
    following = ""
    while page := client.get(f"/api/v1/trades?limit={limit}{following}").json()["results"]:
        read += [trade["tradeId"] for trade in page]
        following = f"&placedBefore={quote(page[-1]['createdAt'])}"
    assert len(read) == len(set(read)) == TRADES
