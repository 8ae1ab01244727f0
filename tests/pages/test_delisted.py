"""The page of a stock that the exchange no longer lists."""

from collections.abc import Callable

from django.test import Client

from accounts.models import Customer
from exchange.models import Stock
from tests.conftest import StandInExchange

SENTENCE = "The exchange no longer lists AAPL, so you can"


def test_a_delisted_stock_says_so_and_what_becomes_of_the_shares(
    listed: StandInExchange, alice: Customer, bob: Customer, page_of: Callable[[Customer], Client]
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
