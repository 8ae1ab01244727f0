"""Closing prices are stored once for each month, and statements value shares at them."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.adjustments import ask_for_adjustment, decide_on_adjustment
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
    """Return a customer who bought 3 AAPL before last month, and 2 AAPL and 1 unlisted share last month."""
    customer: Customer = CustomerFactory.create()
    before, within = last_month.begins - timedelta(days=2), last_month.begins + timedelta(days=2)
    PostingFactory.create(customer=customer, change=1000, total=1000, created_at=before)
    for ticker, change, total, at in (("AAPL", 3, 3, before), ("AAPL", 2, 5, within), (NEVER_LISTED, 1, 1, within)):
        PostingFactory.create(customer=customer, ticker=ticker, kind="buy", change=change, total=total, created_at=at)
    PositionFactory.create(customer=customer, ticker="AAPL", quantity=5)
    PositionFactory.create(customer=customer, ticker=NEVER_LISTED, quantity=1)
    return customer


def last_price(exchange: StandInExchange, ticker: str, month: Month) -> Decimal:
    """Return the exchange's last price in a month."""
    ends = month.following.begins
    period = f"start={(ends - timedelta(hours=1)).isoformat()}&end={ends.isoformat()}&step=60".replace("+", "%2B")
    return Decimal(exchange.call("GET", f"/v1/bars/{ticker}?{period}")["results"][-1]["close"])


def values(statement: Statement) -> dict[str, tuple[Any, ...]]:
    return {row.ticker: (row.opening, row.opening_value, row.closing, row.closing_value) for row in statement.shares}


def test_a_statement_values_shares_at_the_last_prices_of_the_months(
    holder: Customer, last_month: Month, exchange: StandInExchange, page_of: Callable[[Customer], Client]
) -> None:
    before = statement_of(holder.id, last_month)
    assert (before.is_final, before.closing_value) == (False, None)
    assert "closing prices of the month are not stored yet" in before.note_on_prices
    assert store_closing_prices() == 4  # two stocks, two months
    opening, closing = (last_price(exchange, "AAPL", month) for month in (last_month.preceding, last_month))
    after = statement_of(holder.id, last_month)
    assert values(after)["AAPL"] == (3, 3 * opening, 5, 5 * closing)
    assert after.is_final
    page = page_of(holder).get(f"/statements/{last_month.year}-{last_month.month}").content.decode()
    assert f"${closing:,.2f}" in page
    assert f"${5 * closing:,.2f}" in page


def test_a_statement_says_that_a_price_is_not_known(
    holder: Customer, last_month: Month, exchange: StandInExchange, page_of: Callable[[Customer], Client]
) -> None:
    store_closing_prices()
    statement = statement_of(holder.id, last_month)
    assert values(statement)[NEVER_LISTED] == (0, 0, 1, None)
    assert (statement.is_final, statement.closing_value) == (True, None)
    note = f"No closing price is known for {NEVER_LISTED}, so the value is not known."
    assert statement.note_on_prices == note
    assert note in page_of(holder).get(f"/statements/{last_month.year}-{last_month.month}").content.decode()
    assert statement.opening_value is not None


def test_prices_are_stored_once_and_the_statement_does_not_change(
    holder: Customer, last_month: Month, exchange: StandInExchange
) -> None:
    store_closing_prices()
    document = statement_pdf(statement_of(holder.id, last_month))
    exchange.faults(down=True)
    assert store_closing_prices() == 0, "no price is missing, so the exchange isn't asked"
    assert statement_pdf(statement_of(holder.id, last_month)) == document


def test_a_correction_is_on_the_statement_of_its_own_month_alone(
    holder: Customer, last_month: Month, exchange: StandInExchange, alice: Customer, bob: Customer
) -> None:
    store_closing_prices()
    document = statement_pdf(statement_of(holder.id, last_month))
    adjustment = ask_for_adjustment(holder.id, Decimal(7), "error", "A fee of last month.", alice)
    decide_on_adjustment(adjustment.id, True, bob)
    assert statement_pdf(statement_of(holder.id, last_month)) == document
    now = statement_of(holder.id, Month.of(timezone.now()))
    assert ("adjustment", 7) in [(line.kind, line.change) for line in now.lines]


def test_prices_are_stored_once_the_exchange_is_available_again(
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
    statement = statement_of(holder.id, now)
    assert (statement.is_final, statement.note_on_prices) == (
        False,
        "Shares are valued at the last price of the month, once it is over.",
    )
    assert not ClosingPrice.objects.filter(day__gte=now.first).exists()


def test_prices_before_a_split_are_for_shares_before_the_split(
    holder: Customer, last_month: Month, exchange: StandInExchange
) -> None:
    """The exchange returns past prices adjusted for the split."""
    CorporateActionFactory.create(
        kind="SPLIT", ticker="AAPL", numerator=4, denominator=1, ex_date=last_month.following.first, state="done"
    )
    store_closing_prices()
    price = ClosingPrice.objects.get(day=last_month.last, ticker="AAPL").price
    assert price == 4 * last_price(exchange, "AAPL", last_month)


def test_a_renamed_stocks_price_is_read_under_its_new_ticker(
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
