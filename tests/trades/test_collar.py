"""The collar: a BUY holds its cost at the last price plus a margin, and the exchange may not charge more."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.account import InsufficientFunds
from accounts.funding import withdraw
from accounts.models import Balance, Customer
from exchange import prices
from exchange.prices import KEY, Quote
from tests.conftest import StandInExchange
from tests.people import claim, open_account, send_report
from trades.models import Reason, Status, Trade
from trades.place import place_trade

pytestmark = pytest.mark.django_db


def set_last_price(price: str, ticker: str = "AAPL", seconds_ago: float = 1) -> None:
    """Put a price into the shared cache, as if the sweep had read it this long ago."""
    quote = Quote(Decimal(price), Decimal(price), timezone.now())
    cache.set(KEY, {ticker: (timezone.now().timestamp() - seconds_ago, quote)})
    prices.forget()


def place_and_claim(customer: Customer, quantity: int, ticker: str = "AAPL") -> Trade:
    trade, _ = place_trade(customer.id, ticker, "BUY", quantity)
    assert claim(customer) == [trade]
    trade.refresh_from_db()
    return trade


def test_a_buy_holds_its_cost_at_the_last_price_and_the_collar(alice: Customer) -> None:
    set_last_price("100.0000")
    trade = place_and_claim(alice, 3)
    assert (trade.last_price, trade.collar, trade.collar_price, trade.max_price) == (100, Decimal("0.05"), 105, 315)
    balance = Balance.objects.get(customer=alice)
    assert (balance.amount, balance.held, balance.available) == (1000, 315, 685)


def test_free_cash_can_be_withdrawn_during_a_trade_but_held_cash_cannot(alice: Customer) -> None:
    set_last_price("100.0000")
    place_and_claim(alice, 3)
    with pytest.raises(InsufficientFunds):
        withdraw(alice.id, Decimal("685.0001"))
    withdraw(alice.id, Decimal("685"))
    assert Balance.objects.get(customer=alice).available == 0


def test_if_the_collar_exceeds_the_cash_all_cash_is_held(alice: Customer) -> None:
    set_last_price("100.0000")
    trade = place_and_claim(alice, 10)
    assert (trade.max_price, trade.collar_price, trade.is_held_by_collar) == (1000, 105, False)


@pytest.mark.parametrize("seconds_ago", [61, 3600])
def test_without_a_price_younger_than_a_minute_all_cash_is_held(alice: Customer, seconds_ago: float) -> None:
    set_last_price("100.0000", seconds_ago=seconds_ago)
    trade = place_and_claim(alice, 3)
    assert (trade.last_price, trade.collar, trade.collar_price, trade.max_price) == (None, None, None, 1000)


def test_the_collar_is_a_setting(alice: Customer, settings: Any) -> None:
    settings.BUY_COLLAR = Decimal("0.1")
    set_last_price("33.3333")
    trade = place_and_claim(alice, 3)
    assert (trade.collar_price, trade.max_price) == (Decimal("36.6666"), Decimal("109.9998"))


def test_a_sell_has_no_collar(alice: Customer) -> None:
    set_last_price("100.0000")
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 3)
    claim(alice)
    trade.refresh_from_db()
    assert (trade.last_price, trade.collar, trade.max_price) == (None, None, None)


@pytest.mark.parametrize(
    ("quantity", "later_price", "reason"),
    [
        (3, "110.0000", Reason.PRICE_MOVED),  # 330 of 1,000: only the collar prevented it
        (3, None, Reason.PRICE_MOVED),
        (9, "120.0000", Reason.INSUFFICIENT_FUNDS),  # 1,080: the cash would not have been enough either
        (10, "110.0000", Reason.INSUFFICIENT_FUNDS),  # all cash was held
    ],
)
def test_a_price_above_the_collar_is_price_moved_if_the_cash_would_have_been_enough(
    alice: Customer, quantity: int, later_price: str | None, reason: Reason
) -> None:
    set_last_price("100.0000")
    trade = place_and_claim(alice, quantity)
    set_last_price(later_price or "100.0000", seconds_ago=1 if later_price else 90)
    send_report(trade, Status.REJECTED, reasonCode="insufficient_funds", reason="cost is over maxPrice")
    claim(alice)
    trade.refresh_from_db()
    assert (trade.status, trade.reason_code) == (Status.REJECTED, reason)
    assert Balance.objects.get(customer=alice).held == 0


def test_without_a_collar_a_price_that_is_too_high_is_insufficient_funds(alice: Customer) -> None:
    trade = place_and_claim(alice, 3)
    send_report(trade, Status.REJECTED, reasonCode="insufficient_funds")
    claim(alice)
    trade.refresh_from_db()
    assert trade.reason_code == Reason.INSUFFICIENT_FUNDS


def test_the_exchange_gets_the_hold_as_maximum_price(alice: Customer, exchange: StandInExchange) -> None:
    """The last price is from before a rise: the stand-in's current price is far above the collar."""
    from trades.turn import take_turn

    exchange.faults()
    set_last_price("1.0000")
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    take_turn([alice.id], "test")
    report = next(row for row in exchange.record() if row["tradeId"] == str(trade.id))
    trade.refresh_from_db()
    assert (trade.max_price, trade.collar_price) == (Decimal("1.05"), Decimal("1.05"))
    assert (report["stockTicker"], report["quantity"]) == ("AAPL", 1)


def test_the_collar_needs_no_statement_and_no_call_in_a_turn(alice: Customer, settings: Any, db: None) -> None:
    settings.EXCHANGE_URL = "http://127.0.0.1:1"

    def count_statements() -> int:
        customer = open_account(f"{timezone.now().timestamp()}@example.com", Decimal(1000))
        place_trade(customer.id, "AAPL", "BUY", 3)
        with CaptureQueriesContext(connection) as queries:
            assert len(claim(customer)) == 1
        return len(queries)

    without_collar = count_statements()
    set_last_price("100.0000")
    assert count_statements() == without_collar
