"""Errors that can happen to any request are answered in Alpaca's format, and never with a 500."""

from collections.abc import Callable

import pytest
from django.db import connection

from accounts.models import Customer
from alpaca_api import drf
from brokerage import errors
from brokerage.refusals import OF_OPERATIONS, ON_PAGES
from exchange import market
from tests.alpaca_api.conftest import Alpaca
from tests.factories import StockFactory
from tests.races.concurrency import Open, Running, eventually
from trades.place import insert_batched

AlpacaOf = Callable[[Customer], Alpaca]
ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


@pytest.mark.django_db(transaction=True)
def test_an_order_that_waits_too_long_behind_others_is_unavailable(
    alice: Customer, bob: Customer, alpaca_of: AlpacaOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    StockFactory.create(ticker="AAPL")
    market.forget()
    buy, buy_too = alpaca_of(alice), alpaca_of(bob)
    held = Open(lambda: connection.cursor().execute("LOCK TABLE trades_tradecounter IN SHARE MODE"))
    first = Running(lambda: buy("POST", "orders", ORDER))
    eventually(lambda: insert_batched.is_led)
    monkeypatch.setattr("web.patience.REQUEST_SECONDS", 0.2)
    status, body = buy_too("POST", "orders", ORDER)
    held.commit()
    assert (status, body["code"]) == (503, 50310000)
    assert first.result()[0] in (200, 503)


def test_a_query_with_too_many_parameters_is_refused(alice: Customer, alpaca_of: AlpacaOf) -> None:
    assert alpaca_of(alice)("GET", f"orders?{'&'.join(['a=1'] * 2000)}")[0] == 400


def test_each_error_that_any_request_may_meet_has_an_answer() -> None:
    of_operations = {kind for kinds in OF_OPERATIONS.values() for kind in kinds}
    assert set(errors.TABLE) - of_operations - {*ON_PAGES} <= set(drf.TABLE)
