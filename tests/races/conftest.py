"""Race tests run on committed rows, isolated from each other's rings."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import Customer
from tests.people import claim, open_account, receive_shares
from tests.races.at_once import deadlocks, violations
from trades.models import Trade
from trades.place import place_trade

CUSTOMERS = 6


@pytest.fixture(autouse=True)
def _promises_hold(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """After every race all promises hold and no deadlock was broken up, unless it planted a fault (`planted`)."""
    before = deadlocks()
    yield
    if "planted" not in request.fixturenames:
        assert violations() == []
        assert deadlocks() == before


@pytest.fixture
def planted() -> None:
    """Mark this test as planting a fault, so that it checks for violations itself."""


@pytest.fixture(scope="session", autouse=True)
def _static_files_have_a_folder() -> None:
    """Whose absence is warned of at the first call over HTTP."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def crowd(transactional_db: None) -> list[Customer]:
    """Create customers with 1,000 USD and 10 AAPL each."""
    people = [open_account(f"crowd{n}@example.com", Decimal(2000)) for n in range(CUSTOMERS)]
    for person in people:
        receive_shares(person, "AAPL", 10, Decimal(100))
    return people


@pytest.fixture
def crowd_in_flight(crowd: list[Customer]) -> list[Trade]:
    """Put a BUY of one share in flight for each customer of the crowd."""
    for person in crowd:
        place_trade(person.id, "AAPL", "BUY", 1)
    return claim(*crowd)
