"""A stock whose ticker changes stays the same asset: its id stays, and its old symbol leads to it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Customer
from alpaca_api.serializers import asset_id
from exchange.models import Stock
from tests.factories import StockFactory
from trades import corporate_actions, ticker_change
from trades.models import CorporateAction
from web.timezones import eastern_today

pytestmark = pytest.mark.django_db
Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(alice: Customer, alpaca_of: Callable[[Customer], Call], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls of Alice, who holds AAPL, which is listed."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)
    ticker_change.forget()
    StockFactory.create(ticker="AAPL", name="Apple")
    return alpaca_of(alice)


def rename(old: str, new: str, days_ago: int) -> None:
    day = eastern_today() - timedelta(days=days_ago)
    terms = {"kind": "TICKER_CHANGE", "ticker": old, "new_ticker": new, "ex_date": day}
    corporate_actions.enter(CorporateAction(**terms), "staff 1 and 2")
    corporate_actions.apply_due()


def test_the_asset_keeps_its_id_and_is_found_under_both_symbols(call: Call) -> None:
    _, before = call("GET", "assets/AAPL")
    rename("AAPL", "APL", 9)
    rename("APL", "APLE", 5)
    now = before | {"symbol": "APLE"}
    for symbol in ("AAPL", "APL", "APLE", "aapl", before["id"]):
        assert call("GET", f"assets/{symbol}") == (200, now)
    assert call("GET", "assets") == (200, [now]), "it is one asset, not three"
    assert call("GET", "assets?status=inactive") == (200, [])


def test_positions_and_orders_of_before_and_after_have_the_same_asset(call: Call) -> None:
    (before,) = call("GET", "positions")[1]
    rename("AAPL", "APL", 5)
    (after,) = call("GET", "positions")[1]
    assert (after["symbol"], after["asset_id"]) == ("APL", before["asset_id"])
    (order,) = call("GET", "orders?status=all")[1]
    assert (order["symbol"], order["asset_id"]) == ("AAPL", before["asset_id"]), "history keeps the symbol of its time"
    assert call("GET", f"positions/{before['asset_id']}")[1]["symbol"] == "APL"


def test_another_company_that_takes_over_the_symbol_is_another_asset(call: Call) -> None:
    original_id = asset_id("AAPL")
    rename("AAPL", "APL", 5)
    Stock.objects.filter(ticker="AAPL").update(listed=True, name="Another")
    ticker_change.forget()
    assert (asset_id("APL"), asset_id("AAPL") == original_id) == (original_id, False)
    assert call("GET", f"assets/{original_id}")[1]["symbol"] == "APL"
    assert call("GET", "assets/AAPL")[1]["name"] == "Another"
    assert call("GET", f"assets/{asset_id('AAPL')}")[1]["symbol"] == "AAPL"


def test_a_stock_that_gets_its_ticker_back_has_its_id_again(call: Call) -> None:
    original_id = asset_id("AAPL")
    rename("AAPL", "APL", 9)
    rename("APL", "AAPL", 5)
    assert call("GET", f"assets/{original_id}")[1]["symbol"] == "AAPL"
    assert call("GET", "assets/APL")[1]["id"] == str(original_id)
