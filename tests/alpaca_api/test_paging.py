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
    """Return a customer with 120 trades, all but the first inserted by one statement."""
    customer: Customer = open_account("many@example.com", Decimal(1))
    place_trade(customer.id, "AAPL", "BUY", 1)
    trades = [Trade(customer=customer, ticker="AAPL", type="BUY", quantity=1) for _ in range(TRADES - 1)]
    insert_set([Placing(trade, "api") for trade in trades])
    assert Trade.objects.filter(customer=customer).count() == TRADES
    return customer


@pytest.mark.parametrize(("parameter", "direction"), [("until", "desc"), ("after", "asc")])
@pytest.mark.parametrize("limit", [7, 50])
def test_orders(customer: Customer, parameter: str, direction: str, limit: int) -> None:
    alpaca, ids, parameters = Alpaca(customer), [], ""
    while True:
        status, page = alpaca("GET", f"orders?status=all&limit={limit}&direction={direction}{parameters}")
        assert status == 200, page
        if not page:
            break
        ids += [order["id"] for order in page]
        parameters = f"&{parameter}={quote(page[-1]['submitted_at'])}"
    assert len(ids) == len(set(ids)) == TRADES


@pytest.mark.parametrize("limit", [7, 50])
def test_trades(customer: Customer, limit: int) -> None:
    client = Client(headers={"Authorization": f"Bearer {tokens.issue(customer, 'test').token}"})
    ids: list[str] = []
    parameters = ""
    while page := client.get(f"/api/v1/trades?limit={limit}{parameters}").json()["results"]:
        ids += [trade["tradeId"] for trade in page]
        parameters = f"&placedBefore={quote(page[-1]['createdAt'])}"
    assert len(ids) == len(set(ids)) == TRADES
