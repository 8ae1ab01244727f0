"""A stock's page: the customer's lots and gains."""

import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.people import claim, receive_shares, send_report
from trades.models import Status
from trades.place import place_trade
from web.templatetags.figures import count, sign, usd

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


def test_the_page_shows_the_session_and_the_year(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    page = page_of(bob).get("/stocks/IBM")
    quote = page.context["holding"].quote
    table = dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page.content.decode()))
    assert {name: table[name] for name in ("Open", "High", "Low", "Previous close", "52-week high", "52-week low")} == {
        "Open": usd(quote.open),
        "High": usd(quote.high),
        "Low": usd(quote.low),
        "Previous close": usd(quote.previous_close),
        "52-week high": usd(quote.high_52_weeks),
        "52-week low": usd(quote.low_52_weeks),
    }
    assert table["Volume"] == count(quote.volume)


@pytest.mark.parametrize("path", ["/stocks/AAPL", "/stocks/KO?range=1M", "/", "/?range=1Y"])
def test_one_sign_decides_the_color_of_headline_and_chart(path: str, ada: Customer, page_of: PageOf) -> None:
    html = page_of(ada).get(path).content.decode()
    headline, chart = (
        re.search(pattern, html) for pattern in (r'class="change (\w+)"', r'class="chart (\w+)" data-points')
    )
    change = re.search(r"\((\+|−)?[\d.,]+%\)", html)
    assert headline
    assert chart
    assert change
    expected = sign(Decimal({"+": 1, "−": -1, None: 0}[change[1]]))
    assert (headline[1], chart[1]) == (expected, expected)
