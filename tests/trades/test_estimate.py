"""The estimate of a trade allows for the trades ahead of it in line."""

from decimal import Decimal

import pytest

from accounts.funding import withdraw
from accounts.models import Customer
from accounts.money import money
from exchange import prices
from tests.conftest import StandInExchange
from tests.people import claim
from trades.estimate import buying_power, estimate_trade
from trades.place import place_trade

pytestmark = pytest.mark.django_db


def price_of(ticker: str) -> Decimal:
    return prices.quotes([ticker])[ticker].price


@pytest.mark.usefixtures("exchange")
def test_the_open_trades_ahead_are_counted(alice: Customer) -> None:
    price = price_of("AAPL")
    shares_max = int(Decimal(1000) // price)
    assert estimate_trade(alice.id, "AAPL", "BUY", shares_max).is_covered
    assert not estimate_trade(alice.id, "AAPL", "BUY", shares_max + 1).is_covered
    place_trade(alice.id, "AAPL", "BUY", shares_max)
    second = estimate_trade(alice.id, "AAPL", "BUY", shares_max)
    assert (second.ahead, second.cash, second.shares) == (1, 1000 - price * shares_max, 10 + shares_max)
    assert not second.is_covered
    claim(alice)
    assert estimate_trade(alice.id, "AAPL", "BUY", shares_max).cash == second.cash, "trades in flight must count too"


@pytest.mark.usefixtures("exchange")
def test_a_sale_ahead_adds_cash_and_removes_shares(alice: Customer) -> None:
    place_trade(alice.id, "AAPL", "SELL", 10)
    estimate = estimate_trade(alice.id, "AAPL", "SELL", 1)
    assert (estimate.shares, estimate.cash, estimate.is_covered) == (0, 1000 + 10 * price_of("AAPL"), False)


@pytest.mark.usefixtures("exchange")
def test_a_trade_ahead_that_will_be_rejected_changes_nothing(alice: Customer) -> None:
    place_trade(alice.id, "AAPL", "BUY", 1_000_000)
    place_trade(alice.id, "AAPL", "SELL", 11)
    estimate = estimate_trade(alice.id, "AAPL", "SELL", 10)
    assert (estimate.ahead, estimate.cash, estimate.shares) == (2, 1000, 10)
    assert estimate.is_covered
    assert (estimate.shares_left, estimate.cash_left) == (0, 1000 + 10 * price_of("AAPL"))


def test_without_a_price_a_purchase_is_not_refused(exchange: StandInExchange, bob: Customer) -> None:
    exchange.faults(down=True)
    prices.forget()
    estimate = estimate_trade(bob.id, "AAPL", "BUY", 1_000_000)
    assert (estimate.price, estimate.amount, estimate.cash_left, estimate.is_covered) == (None, None, None, True)


@pytest.mark.usefixtures("exchange")
def test_buying_power_is_the_cash_that_the_trades_ahead_leave(alice: Customer) -> None:
    assert buying_power(alice.id) == 1000
    place_trade(alice.id, "AAPL", "BUY", 2)
    cash_left = 1000 - 2 * price_of("AAPL")
    assert buying_power(alice.id) == cash_left == estimate_trade(alice.id, "MSFT", "BUY", 1).cash
    claim(alice)
    assert buying_power(alice.id) == cash_left


@pytest.mark.usefixtures("exchange")
def test_a_purchase_costs_no_more_than_its_collar_and_the_cash(alice: Customer) -> None:
    price = price_of("AAPL")
    assert estimate_trade(alice.id, "AAPL", "BUY", 2).cost_max == 2 * money(price * Decimal("1.05"))
    withdraw(alice.id, 1000 - 2 * price)
    assert estimate_trade(alice.id, "AAPL", "BUY", 2).cost_max == 2 * price
