"""A stock's page: the customer's lots and gains."""

from collections.abc import Callable
from decimal import Decimal

from django.test import Client

from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.people import claim, receive_shares, send_report
from trades.models import Status
from trades.place import place_trade

PageOf = Callable[[Customer], Client]
QUERIES_MAX = 25


def test_the_page_shows_lots_and_gains_of_this_stock_only(
    exchange_with_stocks: StandInExchange,
    bob: Customer,
    page_of: PageOf,
    django_assert_max_num_queries: Callable[..., object],
) -> None:
    receive_shares(bob, "AAPL", 3, Decimal(10))
    receive_shares(bob, "AAPL", 2, Decimal(20))
    receive_shares(bob, "KO", 1, Decimal(58))
    sale, _ = place_trade(bob.id, "AAPL", "SELL", 4)
    claim(bob)
    send_report(sale, Status.FILLED, Decimal(25))
    claim(bob)
    client = page_of(bob)
    with django_assert_max_num_queries(QUERIES_MAX):  # type: ignore[attr-defined]
        page = client.get("/stocks/AAPL")
    assert [(lot.ticker, lot.remaining, lot.remaining_cost) for lot in page.context["lots"]] == [("AAPL", 1, 20)]
    assert {(closing.quantity, closing.gain) for closing in page.context["sold"]} == {(3, 45), (1, 5)}
    assert page.context["short_term"].gain == 50
    html = page.content.decode()
    assert "Your lots of AAPL" in html
    assert "+$50.00" in html


def test_a_stock_that_was_never_held_has_no_lots_or_gains(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    html = page_of(bob).get("/stocks/IBM").content.decode()
    assert "Your lots" not in html
    assert "Your gains" not in html
