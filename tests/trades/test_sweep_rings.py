"""The sweep rings for customers who wait, and stands in for lanes that are away."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Customer
from tests.conftest import StandInExchange
from tests.people import claim, open_account, report_body, take_rung_customers
from tests.trades.test_sweep import entries, set_back, status
from trades import sweep
from trades.lane import lane_of
from trades.models import Outcome, Report, Status, Trade
from trades.place import place_trade
from trades.report import store_reports
from trades.sweep import (
    ACT_AFTER_SECONDS,
    RING_AFTER_SECONDS,
    ask_exchange,
    ring_for_waiting,
    stand_in,
)
from trades.turn import take_turn


def test_the_sweep_rings_for_customers_who_wait_without_a_ring(trade: Trade, alice: Customer) -> None:
    set_back("trades_trade", RING_AFTER_SECONDS + 0.1, "placed_at", "settled_at")
    assert ring_for_waiting("test") == 1
    assert take_rung_customers(lane_of(alice.id)) == [alice.id]
    assert status(trade) == Status.PLACED


@pytest.mark.parametrize("column", ["placed_at", "settled_at"])
@pytest.mark.parametrize("ahead", [3600, 20])
def test_a_time_in_the_future_set_by_another_clock_keeps_no_customer_waiting(
    trade: Trade, alice: Customer, column: str, ahead: int
) -> None:
    set_back("trades_trade", RING_AFTER_SECONDS + 0.1, "placed_at")
    set_back("trades_trade", -ahead, column)
    assert ring_for_waiting("test") == 1


@pytest.mark.parametrize("ahead", [3600, 20])
def test_the_exchange_is_asked_although_another_clock_postponed_it(
    exchange: StandInExchange, trade: Trade, alice: Customer, ahead: int
) -> None:
    take_turn([alice.id], "test")
    set_back("trades_trade", -ahead, "ask_at")
    assert ask_exchange() == 1


def test_the_sweep_does_not_ring_for_customers_who_have_just_begun_to_wait(trade: Trade, alice: Customer) -> None:
    assert ring_for_waiting("test") == 0
    assert take_rung_customers(lane_of(alice.id)) == []


def test_the_sweep_does_not_ring_for_customers_with_a_trade_in_flight(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    set_back("trades_trade", 3600, "placed_at")
    assert ring_for_waiting("test") == 0


def test_the_sweep_rings_for_customers_with_a_waiting_report(trade: Trade, alice: Customer) -> None:
    claim(alice)
    store_reports([report_body(trade, Status.FILLED, Decimal(100))], Report.Source.CALLBACK)
    assert ring_for_waiting("test") == 0
    set_back("trades_report", RING_AFTER_SECONDS + 0.1, "received_at")
    assert ring_for_waiting("test") == 1
    assert take_rung_customers(lane_of(alice.id)) == [alice.id]


def test_without_lanes_the_sweep_takes_the_turn(exchange: StandInExchange, trade: Trade, alice: Customer) -> None:
    set_back("trades_trade", ACT_AFTER_SECONDS + 1, "placed_at", "settled_at")
    ring_for_waiting("sweep-7")
    assert status(trade) == Status.IN_PROGRESS
    assert len(entries(exchange, trade)) == 1
    assert trade.status_changes.get(to_status="IN PROGRESS").by == "sweep-7"


def test_without_lanes_the_sweep_settles_too(exchange: StandInExchange, trade: Trade, alice: Customer) -> None:
    claim(alice)
    store_reports([report_body(trade, Status.FILLED, Decimal(100))], Report.Source.CALLBACK)
    set_back("trades_report", ACT_AFTER_SECONDS + 1, "received_at")
    ring_for_waiting("sweep-7")
    assert status(trade) == Status.FILLED
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.SETTLED
    assert ring_for_waiting("sweep-7") == 0


def test_once_the_sweep_stands_in_for_a_lane_its_trades_wait_no_further(
    exchange: StandInExchange, trade: Trade, alice: Customer, settings: Any
) -> None:
    settings.LANES = 2
    next_trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    other_customers = [open_account(f"{number}@example.com", Decimal(1000)) for number in range(12)]
    neighbor = next(customer for customer in other_customers if lane_of(customer.id) == lane_of(alice.id))
    stranger = next(customer for customer in other_customers if lane_of(customer.id) != lane_of(alice.id))
    set_back("trades_trade", ACT_AFTER_SECONDS + 1, "placed_at", "settled_at")
    ring_for_waiting("sweep-7")
    store_reports([report_body(trade, Status.FILLED, Decimal(100))], Report.Source.CALLBACK)
    neighbors_trade, _ = place_trade(neighbor.id, "AAPL", "BUY", 1)
    strangers_trade, _ = place_trade(stranger.id, "AAPL", "BUY", 1)
    assert stand_in("sweep-7") == 2
    assert status(trade) == Status.FILLED
    assert status(next_trade) == status(neighbors_trade) == Status.IN_PROGRESS
    assert status(strangers_trade) == Status.PLACED, "a worker may be serving this customer's lane"


def test_the_sweep_stands_in_for_a_limited_time(
    exchange: StandInExchange, trade: Trade, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "STAND_IN_SECONDS", 0)
    set_back("trades_trade", ACT_AFTER_SECONDS + 1, "placed_at", "settled_at")
    ring_for_waiting("sweep-7")
    store_reports([report_body(trade, Status.FILLED, Decimal(100))], Report.Source.CALLBACK)
    assert stand_in("sweep-7") == 0
    assert status(trade) == Status.IN_PROGRESS


def test_without_the_broker_the_sweep_takes_the_turn(
    exchange: StandInExchange, trade: Trade, alice: Customer, broker_at: Any
) -> None:
    broker_at(1)
    set_back("trades_trade", ACT_AFTER_SECONDS + 1, "placed_at", "settled_at")
    ring_for_waiting("test")
    assert status(trade) == Status.IN_PROGRESS
