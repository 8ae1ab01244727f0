"""A single trade needs few database statements from placing to settling."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Customer
from exchange import market, prices
from tests.conftest import StandInExchange
from tests.people import send_report
from tests.responses import post
from trades import checks
from trades.models import Status, Trade
from trades.turn import take_turn

BUY = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}


@pytest.mark.django_db(transaction=True)
def test_a_single_trade_needs_few_statements(
    alice: Customer, api_of: Any, exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Controls and load are read once a second, not for every trade: here that second does not pass.
    monkeypatch.setattr("web.cached.time", SimpleNamespace(monotonic=lambda: 1.0))
    market.refresh()
    prices.refresh()
    client: Client = api_of(alice)
    post(client, "/api/v1/trades", BUY)
    take_turn([alice.id], by="test")
    send_report(Trade.objects.latest("sequence"), Status.FILLED, Decimal(50))
    take_turn([alice.id], by="test")
    checks.rules(), checks.load()
    with CaptureQueriesContext(connection) as placing:
        post(client, "/api/v1/trades", BUY, idempotency_key="k")
    with CaptureQueriesContext(connection) as claiming:
        take_turn([alice.id], by="test")
    with CaptureQueriesContext(connection) as reporting:
        send_report(Trade.objects.latest("sequence"), Status.FILLED, Decimal(50))
    with CaptureQueriesContext(connection) as settling:
        take_turn([alice.id], by="test")
    assert Trade.objects.latest("sequence").status == Status.FILLED
    # BEGIN and COMMIT count, since each is a round trip. Reporting includes the query with which this test finds the
    # trade.
    for phase, statements_max in ((placing, 2), (claiming, 6), (reporting, 2), (settling, 6)):
        assert len(phase) <= statements_max, [query["sql"][:200] for query in phase.captured_queries]
