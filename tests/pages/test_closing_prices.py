"""Closing prices: stored once for each month, and the values of shares on statements."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ClosingPrice, Customer
from accounts.statement_document import statement_pdf
from accounts.statements import Month, Statement, statement_of
from exchange.messages import Unknown
from tests.conftest import StandInExchange
from tests.factories import CorporateActionFactory, CustomerFactory, PositionFactory, PostingFactory
from trades import ticker_change
from trades.closing_prices import store_closing_prices

NEVER_LISTED = "ZZZZ9"


@pytest.fixture
def last_month() -> Month:
    return Month.of(timezone.now()).preceding


@pytest.fixture
def holder(last_month: Month, db: None) -> Customer:
    """Bought 3 AAPL before last month, and 2 more of them and 1 share that nobody lists last month."""
    customer: Customer = CustomerFactory.create()
    before, within = last_month.begins - timedelta(days=2), last_month.begins + timedelta(days=2)
    PostingFactory.create(customer=customer, change=1000, total=1000, created_at=before)
    for ticker, change, total, at in (("AAPL", 3, 3, before), ("AAPL", 2, 5, within), (NEVER_LISTED, 1, 1, within)):
        PostingFactory.create(customer=customer, ticker=ticker, kind="buy", change=change, total=total, created_at=at)
    PositionFactory.create(customer=customer, ticker="AAPL", quantity=5)
    PositionFactory.create(customer=customer, ticker=NEVER_LISTED, quantity=1)
    return customer


def last_price(exchange: StandInExchange, ticker: str, month: Month) -> Decimal:
    """The last price that the exchange returns for the last hour of a month."""
    ends = month.following.begins
    period = f"start={(ends - timedelta(hours=1)).isoformat()}&end={ends.isoformat()}&step=60".replace("+", "%2B")
    return Decimal(exchange.call("GET", f"/v1/bars/{ticker}?{period}")["results"][-1]["close"])


def values(made: Statement) -> dict[str, tuple[Any, ...]]:
    return {each.ticker: (each.opening, each.opening_value, each.closing, each.closing_value) for each in made.shares}


def test_a_statement_values_shares_at_the_last_prices_of_the_months(
    holder: Customer, last_month: Month, exchange: StandInExchange, page_of: Callable[[Customer], Client]
) -> None:
    before = statement_of(holder.id, last_month)
    assert (before.is_final, before.closing_value) == (False, None)
    assert "closing prices of the month are not stored yet" in before.note_on_prices
    assert store_closing_prices() == 4  # two stocks, two months
    opening, closing = (last_price(exchange, "AAPL", month) for month in (last_month.preceding, last_month))
    made = statement_of(holder.id, last_month)
    assert values(made)["AAPL"] == (3, 3 * opening, 5, 5 * closing)
    assert made.is_final
    page = page_of(holder).get(f"/statements/{last_month.year}-{last_month.month}").content.decode()
    assert f"${closing:,.2f}" in page
    assert f"${5 * closing:,.2f}" in page


def test_a_statement_says_where_there_was_no_price(
    holder: Customer, last_month: Month, exchange: StandInExchange, page_of: Callable[[Customer], Client]
) -> None:
    store_closing_prices()
    made = statement_of(holder.id, last_month)
    assert values(made)[NEVER_LISTED] == (0, 0, 1, None)
    assert (made.is_final, made.closing_value) == (True, None)
    note = f"No closing price is known for {NEVER_LISTED}, so the value is not known."
    assert made.note_on_prices == note
    assert note in page_of(holder).get(f"/statements/{last_month.year}-{last_month.month}").content.decode()
    assert made.opening_value is not None


def test_prices_are_stored_once_and_the_statement_stays_as_it_is(
    holder: Customer, last_month: Month, exchange: StandInExchange
) -> None:
    store_closing_prices()
    document = statement_pdf(statement_of(holder.id, last_month))
    exchange.faults(down=True)
    assert store_closing_prices() == 0, "nothing is missing, so nothing is asked"
    assert statement_pdf(statement_of(holder.id, last_month)) == document


def test_while_the_exchange_is_away_nothing_is_stored_and_later_all(
    holder: Customer, last_month: Month, exchange: StandInExchange
) -> None:
    exchange.faults(down=True)
    with pytest.raises(Unknown):
        store_closing_prices()
    assert not statement_of(holder.id, last_month).is_final
    exchange.faults()
    store_closing_prices()
    assert statement_of(holder.id, last_month).is_final


def test_a_month_that_is_not_over_has_no_closing_prices(holder: Customer, exchange: StandInExchange) -> None:
    store_closing_prices()
    now = Month.of(timezone.now())
    made = statement_of(holder.id, now)
    assert (made.is_final, made.note_on_prices) == (
        False,
        "Shares are valued at the last price of the month, once it is over.",
    )
    assert not ClosingPrice.objects.filter(day__gte=now.first).exists()


def test_prices_from_before_a_split_are_those_of_the_shares_of_then(
    holder: Customer, last_month: Month, exchange: StandInExchange
) -> None:
    """The exchange has divided them since."""
    CorporateActionFactory.create(
        kind="SPLIT", ticker="AAPL", numerator=4, denominator=1, ex_date=last_month.following.first, state="done"
    )
    store_closing_prices()
    price = ClosingPrice.objects.get(day=last_month.last, ticker="AAPL").price
    assert price == 4 * last_price(exchange, "AAPL", last_month)


def test_a_stock_that_got_another_ticker_since_is_quoted_under_that(
    holder: Customer, last_month: Month, exchange: StandInExchange
) -> None:
    CorporateActionFactory.create(
        kind="TICKER_CHANGE", ticker=NEVER_LISTED, new_ticker="MSFT", ex_date=last_month.following.first, state="done"
    )
    ticker_change.forget()
    store_closing_prices()
    price = ClosingPrice.objects.get(day=last_month.last, ticker=NEVER_LISTED).price
    assert price == last_price(exchange, "MSFT", last_month)
    ticker_change.forget()
