"""The page of a stock that the exchange no longer lists."""

from collections.abc import Callable

from django.test import Client

from accounts.models import Customer
from exchange.models import Stock
from tests.conftest import StandInExchange

SENTENCE = "The exchange no longer lists AAPL, so you can"


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
