"""Events show what the rest of the API shows."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import Customer
from tests.people import claim, receive_shares, send_report
from trades.models import Status
from trades.place import place_trade

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_event_of_a_fill_shows_the_trade_with_its_fees(bob: Customer, api_of: Callable[..., Client]) -> None:
    call_command("load_fee_rates")
    receive_shares(bob, "AAPL", 10, Decimal(50))
    sale, _ = place_trade(bob.id, "AAPL", "SELL", 10)
    claim(bob)
    send_report(sale, Status.FILLED, Decimal(500))
    claim(bob)
    client = api_of(bob)
    trade = client.get(f"/api/v1/trades/{sale.id}").json()
    assert trade["fees"] not in (None, "0.0000")
    events = client.get("/api/v1/events?after=0", headers={"Accept": "application/json"}).json()["results"]
    assert events[-1]["trade"] == trade
