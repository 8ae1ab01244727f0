"""The ticket: in shares or dollars, with shortcuts for the maximum."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.funding import deposit
from accounts.models import Customer
from exchange import calendar, market
from tests.conftest import StandInExchange
from tests.factories import FeeRateFactory
from tests.people import trade, violate
from trades import fees
from trades.models import Trade
from trades.place import place_trade
from web.timezones import eastern_today

PageOf = Callable[[Customer], Client]


def test_dollars_become_whole_shares(exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    price = client.get("/stocks/KO").context["holding"].price
    query = {"type": "BUY", "quantity": "$200.50", "unit": "dollars"}
    assert "Whole shares" in client.get("/stocks/KO/estimate", query).content.decode()
    estimate = client.get("/stocks/KO/trade", query).context["estimate"]
    assert abs(estimate.quantity - Decimal("200.5") // price) <= 1
    assert estimate.amount <= Decimal("200.50")
    assert not Trade.objects.exists()


@pytest.mark.parametrize(
    ("quantity", "sentence"),
    [("0.01", "One share costs about $"), ("1e3", "such as 250 or 99.50"), ("12.345", "such as 250"), ("", "How many")],
)
def test_too_few_dollars_are_explained(
    quantity: str, sentence: str, exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    response = page_of(bob).get("/stocks/KO/trade", {"type": "BUY", "quantity": quantity, "unit": "dollars"})
    assert response.status_code == 422
    assert sentence in response.content.decode()


def test_the_page_offers_to_buy_the_maximum_and_to_sell_all(
    exchange_with_stocks: StandInExchange, alice: Customer, page_of: PageOf
) -> None:
    client = page_of(alice)
    page = client.get("/stocks/AAPL")
    price, shares_max = page.context["holding"].price, page.context["shares_max"]
    assert shares_max == Decimal(1000) // round(price * (1 + settings.BUY_COLLAR), 4)
    text = page.content.decode()
    assert f"Buy max: {shares_max}" in text
    assert "Sell all: 10" in text
    assert client.get(f"/stocks/AAPL/trade?type=BUY&quantity={shares_max}").status_code == 200


def test_a_customer_without_shares_is_not_offered_to_sell(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    place_trade(bob.id, "KO", "BUY", 3)
    text = page_of(bob).get("/stocks/KO").content.decode()
    assert "Buy max" in text
    assert "Sell all" not in text


def test_amounts_are_rounded_to_cents(exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf) -> None:
    deposit(bob.id, Decimal("0.0123"))
    text = page_of(bob).get("/cash").content.decode()
    assert "$500.01" in text
    assert "$500.0123" not in text


def test_the_ticket_warns_of_a_sale_that_would_be_a_good_faith_violation(
    exchange_with_stocks: StandInExchange, broke: Customer, page_of: PageOf
) -> None:
    trade(broke, "SELL", 4, "100", None, "AAPL")
    trade(broke, "BUY", 1, "200", None, "AAPL")
    client, until = page_of(broke), calendar.settlement_date(eastern_today())
    warning = f"Selling before {until:%b} {until.day} would be a good-faith violation"
    for quantity, is_warned in ((6, False), (7, True)):  # the older shares are sold first
        for page in ("trade", "estimate"):
            html = client.get(f"/stocks/AAPL/{page}", {"type": "SELL", "quantity": str(quantity)}).content.decode()
            assert (warning in html) is is_warned, (page, quantity)
    assert "good-faith" not in client.get("/stocks/AAPL/trade", {"type": "BUY", "quantity": "1"}).content.decode()


def test_a_restricted_account_sees_how_much_it_can_spend(
    exchange_with_stocks: StandInExchange, broke: Customer, page_of: PageOf
) -> None:
    for _ in range(3):
        violate(broke)
    html = page_of(broke).get("/stocks/KO/estimate", {"type": "BUY", "quantity": "1"}).content.decode()
    assert "you have $0.00 of settled cash" in html
    assert "your account buys with settled cash only" in html


def test_the_review_shows_the_estimated_fees(
    exchange_with_stocks: StandInExchange, alice: Customer, page_of: PageOf
) -> None:
    FeeRateFactory.create()
    fees.expire()
    response = page_of(alice).get("/stocks/AAPL/trade", {"type": "SELL", "quantity": "10"})
    expected = response.context["estimate"].fees
    assert expected > 0
    assert f"<dt>Estimated regulatory fees</dt><dd>${expected:.2f}</dd>" in response.content.decode()


def test_a_day_that_staff_close_is_closed_for_clock_calendar_settlement_and_tickets(
    exchange_with_stocks: StandInExchange, alice: Customer, page_of: PageOf, api_of: Callable[[Customer], Client]
) -> None:
    today = eastern_today()
    page = {"type": "BUY", "quantity": "1"}
    assert "Queue for the open" not in page_of(alice).get("/stocks/AAPL/trade", page).content.decode()
    calendar.set_closure(today, None, "Day of mourning", by="sam")
    market.forget()
    following = calendar.next_session(timezone.now())
    assert following
    clock = api_of(alice).get("/api/v1/market").json()
    assert (clock["isOpen"], datetime.fromisoformat(clock["nextOpen"])) == (False, following.opens_at)
    days = api_of(alice).get(f"/alpaca/v2/calendar?start={today}&end={following.day}").json()
    assert [day["date"] for day in days] == [following.day.isoformat()]
    settles_on = calendar.settlement_date(today - timedelta(days=1))
    assert settles_on >= following.day
    ticket = page_of(alice).get("/stocks/AAPL/trade", page).content.decode()
    assert f"Queue for the open, {following.day:%a} 9:30 AM ET" in ticket
