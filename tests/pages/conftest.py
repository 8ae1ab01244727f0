"""Fixtures for page tests: static files, signed-in browsers, a customer with a history."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Customer
from exchange import market
from tests.conftest import StandInExchange
from tests.history import customer_with_history


@pytest.fixture(autouse=True)
def _static_files(static_files: None) -> None:
    """Collect the static files to which pages refer."""


@pytest.fixture
def exchange_with_stocks(exchange: StandInExchange, db: None) -> StandInExchange:
    """Provide the exchange, with its list of stocks already read."""
    market.refresh()
    market.forget()
    return exchange


@pytest.fixture
def ada(exchange_with_stocks: StandInExchange) -> Customer:
    """Create a customer with most of a year of history."""
    return customer_with_history()


@pytest.fixture
def page_of() -> Callable[[Customer], Client]:
    """Provide a function that returns a customer's signed-in browser: `page_of(alice).get("/")`."""

    def page_of(customer: Customer) -> Client:
        client = Client()
        client.force_login(customer)
        return client

    return page_of
