"""The day's gain is the same in the headline, in the table, and in the Alpaca API."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.customers import create_customer
from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.history import HistoryWriter

PageOf = Callable[[Customer], Client]
LESS_THAN_A_CENT = Decimal("0.005")


def customer_who_traded(*actions: tuple[float, str, int]) -> Customer:
    """Create a customer who deposited 10,000 USD before the first action, each given by its age in hours."""
    customer = create_customer("dana@example.com", None)
    writer = HistoryWriter(customer)
    writer.transfer(Decimal(10_000), hours_ago(actions[0][0]) - timedelta(minutes=2))
    for hours, ticker, quantity in actions:
        writer.trade(ticker, quantity, hours_ago(hours))
    writer.finish()
    return customer


def hours_ago(hours: float) -> datetime:
    return timezone.now() - timedelta(hours=hours)


@pytest.mark.parametrize(
    "actions",
    [
        [(100, "AAPL", 10), (3, "AAPL", 5), (2, "KO", 20)],
        [(100, "AAPL", 10), (3, "AAPL", 5), (2, "AAPL", -5)],
        [(5, "AAPL", 10), (2, "KO", 7)],
    ],
    ids=["bought more", "bought and sold", "a new account"],
)
def test_headline_and_table_agree(
    exchange_with_stocks: StandInExchange, page_of: PageOf, actions: list[tuple[float, str, int]]
) -> None:
    context = page_of(customer_who_traded(*actions)).get("/").context
    fees = context["gain_elsewhere"] or Decimal(0)
    assert context["total"]["day"]
    assert abs(context["worth"].gain - context["total"]["day"] - fees) < LESS_THAN_A_CENT
    assert fees == 0 if all(quantity > 0 for _, _, quantity in actions) else -1 < fees <= 0


def test_the_page_says_what_was_gained_elsewhere(exchange_with_stocks: StandInExchange, page_of: PageOf) -> None:
    page = page_of(customer_who_traded((100, "AAPL", 10), (99, "KO", 10), (2, "KO", -10))).get("/")
    elsewhere = page.context["gain_elsewhere"]
    assert elsewhere == pytest.approx(page.context["worth"].gain - page.context["total"]["day"])
    assert "from fees, dividends and stocks that you sold" in page.content.decode()


def test_shares_bought_today_gain_from_their_purchase(exchange_with_stocks: StandInExchange, page_of: PageOf) -> None:
    page = page_of(customer_who_traded((2, "AAPL", 10))).get("/stocks/AAPL")
    holding = page.context["holding"]
    assert holding.day_gain == holding.value - holding.cost
    assert holding.day_ratio == holding.day_gain / holding.cost
