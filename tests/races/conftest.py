"""Race tests run on committed rows, isolated from each other's rings."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import Customer
from tests.people import claim, open_account, receive_shares
from tests.races.concurrency import deadlocks, violations
from trades.models import Trade
from trades.place import place_trade

CUSTOMERS = 6


@pytest.fixture(autouse=True)
def _promises_hold(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Check after every race that all promises hold and no deadlock occurred, unless it uses `breaks_a_promise`."""
    before = deadlocks()
    yield
    if "breaks_a_promise" not in request.fixturenames:
        assert violations() == []
        assert deadlocks() == before


@pytest.fixture
def breaks_a_promise() -> None:
    """Mark a test that breaks a promise on purpose and checks for violations itself."""


@pytest.fixture(scope="session", autouse=True)
def _static_folder() -> None:
    """Create the static folder, because WhiteNoise warns if it is missing."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def crowd(transactional_db: None) -> list[Customer]:
    """Create customers with 1,000 USD and 10 AAPL each."""
    customers = [open_account(f"crowd{n}@example.com", Decimal(2000)) for n in range(CUSTOMERS)]
    for customer in customers:
        receive_shares(customer, "AAPL", 10, Decimal(100))
    return customers


@pytest.fixture
def crowd_in_flight(crowd: list[Customer]) -> list[Trade]:
    """Put a BUY of one share in flight for each customer of the crowd."""
    for customer in crowd:
        place_trade(customer.id, "AAPL", "BUY", 1)
    return claim(*crowd)
