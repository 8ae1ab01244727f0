"""Placing a trade: the rows that it stores, and those that it leaves unchanged."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import Customer
from exchange import market
from tests.conftest import StandInExchange
from tests.factories import StockFactory
from tests.people import take_rung_customers
from trades import checks
from trades.checks import UnknownTicker
from trades.lane import lane_of
from trades.models import Status, StatusChange, Trade, TradeCounter
from trades.place import TradeKeyReused, place_trade


@pytest.fixture
def listed(exchange: StandInExchange, db: None) -> Iterator[None]:
    market.refresh()
    market.forget()
    yield
    market.forget()


def test_each_customers_trades_are_numbered_without_a_gap(alice: Customer, bob: Customer) -> None:
    for customer in (bob, alice, bob, bob):
        place_trade(customer.id, "AAPL", "BUY", 1)
    line = Trade.objects.filter(customer=bob).order_by("id").values_list("sequence", flat=True)
    assert list(line) == [1, 2, 3]
    assert TradeCounter.objects.get(customer=bob).last == 3


def test_the_returned_trade_equals_the_stored_one(bob: Customer) -> None:
    trade, replayed = place_trade(bob.id, "AAPL", "BUY", 7, key="k", by="web-3")
    row = Trade.objects.values().get(id=trade.id)
    assert not replayed
    assert {name: getattr(trade, name) for name in row} == row
    assert (row["status"], row["ticker"], row["type"], row["quantity"]) == (Status.PLACED, "AAPL", "BUY", 7)


def test_placing_records_the_first_status_change(bob: Customer) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1, by="web-3")
    change = StatusChange.objects.get(trade=trade)
    assert (change.from_status, change.to_status, change.by) == ("", "PLACED", "web-3")


def test_repeating_a_key_and_terms_returns_the_first_trade(bob: Customer) -> None:
    first, _ = place_trade(bob.id, "AAPL", "BUY", 1, key="k")
    repeated, replayed = place_trade(bob.id, "AAPL", "BUY", 1, key="k")
    assert (repeated, replayed) == (first, True)
    assert Trade.objects.filter(customer=bob).count() == StatusChange.objects.filter(trade__customer=bob).count() == 1


@pytest.mark.parametrize("terms", [("MSFT", "BUY", 1), ("AAPL", "SELL", 1), ("AAPL", "BUY", 2)])
def test_the_same_key_with_other_terms_is_refused(bob: Customer, terms: tuple[str, str, int]) -> None:
    place_trade(bob.id, "AAPL", "BUY", 1, key="k")
    with pytest.raises(TradeKeyReused):
        place_trade(bob.id, *terms, key="k")
    assert TradeCounter.objects.get(customer=bob).last == 1


def test_keys_of_different_customers_are_independent(alice: Customer, bob: Customer) -> None:
    bobs, _ = place_trade(bob.id, "AAPL", "BUY", 1, key="k")
    alices, replayed = place_trade(alice.id, "AAPL", "BUY", 2, key="k")
    assert (bobs == alices, replayed) == (False, False)


def test_a_trade_in_an_unlisted_stock_stores_nothing(listed: None, bob: Customer) -> None:
    with pytest.raises(UnknownTicker):
        place_trade(bob.id, "NOSUCH", "BUY", 1)
    assert not Trade.objects.filter(customer=bob).exists()
    assert not TradeCounter.objects.filter(customer=bob).exists()


def test_a_key_still_returns_a_trade_in_a_stock_delisted_since(exchange: StandInExchange, bob: Customer) -> None:
    first, _ = place_trade(bob.id, "GONE", "BUY", 1, key="k")
    market.refresh()
    market.forget()
    assert place_trade(bob.id, "GONE", "BUY", 1, key="k") == (first, True)
    with pytest.raises(UnknownTicker):
        place_trade(bob.id, "GONE", "BUY", 1)
    market.forget()


def test_placing_rings_after_the_commit(bob: Customer, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        place_trade(bob.id, "AAPL", "BUY", 1)
        assert take_rung_customers(lane_of(bob.id)) == []
    assert take_rung_customers(lane_of(bob.id)) == [bob.id]


def test_placing_neither_reads_nor_locks_a_balance(bob: Customer, django_assert_max_num_queries: Any) -> None:
    checks.rules(), checks.load()  # read once a second, not for every trade
    for queries_max in (7, 1):  # a customer's first trade also creates the counter, under a lock
        with django_assert_max_num_queries(queries_max) as statements:
            place_trade(bob.id, "AAPL", "BUY", 1)
        assert not any("accounts_balance" in statement["sql"] for statement in statements.captured_queries)


def test_shares_of_an_unlisted_stock_can_be_sold(alice: Customer, bob: Customer) -> None:
    StockFactory.create(ticker="ELSE")
    market.forget()
    with pytest.raises(UnknownTicker):
        place_trade(alice.id, "AAPL", "BUY", 1)
    with pytest.raises(UnknownTicker):
        place_trade(bob.id, "AAPL", "SELL", 1)
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    assert trade.status == "PLACED"
