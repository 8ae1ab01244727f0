"""Fixtures shared by the tests of trades."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer
from tests.conftest import StandInExchange
from trades import lane
from trades.models import Trade
from trades.place import place_trade


@pytest.fixture
def client(alice: Customer, api_of: Any) -> Client:
    """Return an API client for Alice."""
    return api_of(alice)


@pytest.fixture
def trade(exchange: StandInExchange, alice: Customer) -> Trade:
    """Return Alice's PLACED trade, the first in her line."""
    return place_trade(alice.id, "AAPL", "SELL", 3)[0]


@pytest.fixture
def broker_at(settings: Any) -> Iterator[Callable[[int], None]]:
    """Provide a function that sends rings to another port until the test ends."""
    real_url = settings.BROKER_URL

    def broker_at(port: int) -> None:
        settings.BROKER_URL = f"redis://127.0.0.1:{port}/0"

    yield broker_at
    settings.BROKER_URL = real_url
    lane.broker_backoff.stop()
