"""The sweep: whatever was missed is found, with a real exchange that misbehaves."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from accounts.models import Balance, Customer
from exchange import gateway
from tests.conftest import NEVER_MS, StandInExchange
from tests.people import claim, rung, word
from trades.lane import lane_of
from trades.models import Outcome, Report, Status, Trade
from trades.place import place_trade
from trades.report import store_reports
from trades.sweep import (
    ACT_AFTER_SECONDS,
    EXPIRY_MARGIN_SECONDS,
    RING_AFTER_SECONDS,
    ask_exchange,
    ring_for_waiting,
)
from trades.turn import take_turn


def set_back(table: str, seconds: float, *columns: str) -> None:
    """Let time have passed: these columns of every row are so many seconds earlier."""
    then = f"now() - make_interval(secs => {seconds})"
    changes = ", ".join(f"{column} = CASE WHEN {column} IS NOT NULL THEN {then} END" for column in columns)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")  # they keep such columns as they are
        cursor.execute(f"UPDATE {table} SET {changes}")
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def ask_now() -> int:
    """Ask about all that is out, as if it had been out for long."""
    Trade.objects.filter(status=Status.IN_PROGRESS).update(ask_at="2020-01-01T00:00:00Z")
    return ask_exchange()


def until(look: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not look():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def entries(exchange: StandInExchange, trade: Trade) -> list[dict[str, Any]]:
    return [entry for entry in exchange.record() if entry["tradeId"] == str(trade.id)]


def status(trade: Trade) -> str:
    trade.refresh_from_db()
    return trade.status


@pytest.fixture
def trade(exchange: StandInExchange, alice: Customer) -> Trade:
    """Alice's, PLACED, the first in her line."""
    return place_trade(alice.id, "AAPL", "SELL", 3)[0]


# -- asking


def test_what_the_exchange_lost_is_executed_again_with_the_same_id(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    exchange.faults(executeLostRate=1)
    take_turn([alice.id], "test")
    assert (status(trade), entries(exchange, trade)) == (Status.IN_PROGRESS, [])
    exchange.faults(latencyMs=NEVER_MS)
    assert ask_now() == 1
    (entry,) = entries(exchange, trade)
    assert (entry["stockTicker"], entry["type"], entry["quantity"]) == ("AAPL", "SELL", 3)
    assert status(trade) == Status.IN_PROGRESS


def test_what_the_exchange_stored_and_never_answered_is_found(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    exchange.faults(executeNoAnswerRate=1, callbackDropRate=1, latencyMs=0)
    take_turn([alice.id], "test")
    until(lambda: [entry["status"] for entry in entries(exchange, trade)] == ["FILLED"])
    ask_now()
    take_turn([alice.id], "test")
    assert status(trade) == Status.FILLED
    assert len(entries(exchange, trade)) == 1


def test_where_the_callback_is_lost_the_question_settles(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    exchange.faults(callbackDropRate=1, latencyMs=0)
    take_turn([alice.id], "test")
    until(lambda: [entry["status"] for entry in entries(exchange, trade)] == ["FILLED"])
    assert not Report.objects.filter(trade_id=trade.id).exists()
    ask_now()
    assert Report.objects.get(trade_id=trade.id).source == Report.Source.SWEEP
    claim(alice)
    assert status(trade) == Status.FILLED


def test_a_callback_that_comes_after_all_changes_nothing(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    exchange.faults(callbackDropRate=1, latencyMs=0)
    take_turn([alice.id], "test")
    until(lambda: [entry["status"] for entry in entries(exchange, trade)] == ["FILLED"])
    ask_now()
    claim(alice)
    report = gateway.ask(trade.id)
    assert report is not None
    store_reports([report], Report.Source.CALLBACK)
    assert Report.objects.filter(trade_id=trade.id).count() == 1


@pytest.mark.parametrize("fault", ["down", "closed"])
def test_no_answer_is_no_word(
    exchange: StandInExchange, trade: Trade, alice: Customer, settings: Any, fault: str
) -> None:
    take_turn([alice.id], "test")
    exchange.faults(down=True)
    if fault == "closed":
        settings.EXCHANGE_URL = "http://127.0.0.1:1"
    set_back("trades_trade", 3600, "expires_at")
    assert ask_now() == 1
    claim(alice)
    assert status(trade) == Status.IN_PROGRESS
    assert not Report.objects.filter(trade_id=trade.id).exists()


def test_a_trade_that_the_exchange_works_on_is_left_to_it(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    take_turn([alice.id], "test")
    set_back("trades_trade", 3600, "expires_at")
    ask_now()
    assert not Report.objects.filter(trade_id=trade.id).exists()
    assert len(entries(exchange, trade)) == 1


def test_what_the_exchange_does_not_know_when_it_is_past_is_rejected_and_never_executed(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    claim(alice)
    set_back("trades_trade", EXPIRY_MARGIN_SECONDS + 1, "expires_at")
    ask_now()
    assert claim(alice) == []
    assert (status(trade), trade.reason_code) == (Status.REJECTED, "expired")
    assert entries(exchange, trade) == []
    assert Balance.objects.get(customer=alice).held == 0


def test_within_the_margin_it_is_neither_rejected_nor_executed(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    claim(alice)
    set_back("trades_trade", 1, "expires_at")
    ask_now()
    claim(alice)
    assert (status(trade), entries(exchange, trade)) == (Status.IN_PROGRESS, [])


def test_a_question_is_asked_by_one_sweep_only(exchange: StandInExchange, trade: Trade, alice: Customer) -> None:
    take_turn([alice.id], "test")
    assert ask_now() == 1
    assert ask_exchange() == 0


def test_a_trade_that_went_out_just_now_is_not_asked_about(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    take_turn([alice.id], "test")
    assert ask_exchange() == 0


def test_with_nothing_out_nothing_is_asked(trade: Trade, settings: Any) -> None:
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    assert ask_exchange() == 0


# -- ringing


def test_who_waits_without_a_ring_is_rung_for(trade: Trade, alice: Customer) -> None:
    set_back("trades_trade", RING_AFTER_SECONDS + 0.1, "placed_at", "settled_at")
    assert ring_for_waiting("test") == 1
    assert rung(lane_of(alice.id)) == [alice.id]
    assert status(trade) == Status.PLACED


def test_who_has_not_waited_long_is_not_rung_for(trade: Trade, alice: Customer) -> None:
    assert ring_for_waiting("test") == 0
    assert rung(lane_of(alice.id)) == []


def test_who_has_a_trade_in_flight_is_not_rung_for(exchange: StandInExchange, trade: Trade, alice: Customer) -> None:
    place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    set_back("trades_trade", 3600, "placed_at")
    assert ring_for_waiting("test") == 0


def test_who_has_a_report_waiting_is_rung_for(trade: Trade, alice: Customer) -> None:
    claim(alice)
    store_reports([word(trade, Status.FILLED, Decimal(100))], Report.Source.CALLBACK)
    assert ring_for_waiting("test") == 0
    set_back("trades_report", RING_AFTER_SECONDS + 0.1, "received_at")
    assert ring_for_waiting("test") == 1
    assert rung(lane_of(alice.id)) == [alice.id]


def test_where_lanes_never_come_the_sweep_takes_the_turn(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    set_back("trades_trade", ACT_AFTER_SECONDS + 1, "placed_at", "settled_at")
    ring_for_waiting("sweep-7")
    assert status(trade) == Status.IN_PROGRESS
    assert len(entries(exchange, trade)) == 1
    assert trade.status_changes.get(to_status="IN PROGRESS").by == "sweep-7"


def test_where_lanes_never_come_the_sweep_settles_too(exchange: StandInExchange, trade: Trade, alice: Customer) -> None:
    claim(alice)
    store_reports([word(trade, Status.FILLED, Decimal(100))], Report.Source.CALLBACK)
    set_back("trades_report", ACT_AFTER_SECONDS + 1, "received_at")
    ring_for_waiting("sweep-7")
    assert status(trade) == Status.FILLED
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.SETTLED
    assert ring_for_waiting("sweep-7") == 0


def test_without_the_broker_the_sweep_takes_the_turn(
    exchange: StandInExchange, trade: Trade, alice: Customer, broker_at: Any
) -> None:
    broker_at(1)
    set_back("trades_trade", ACT_AFTER_SECONDS + 1, "placed_at", "settled_at")
    ring_for_waiting("test")
    assert status(trade) == Status.IN_PROGRESS
