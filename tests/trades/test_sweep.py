"""The sweep finds everything that was missed, with a real exchange that misbehaves."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Balance, Customer
from exchange import clock_skew, exchange_time, gateway
from tests.conftest import NEVER_MS, StandInExchange
from tests.people import claim, open_account
from trades import sweep
from trades.models import Report, Status, Trade
from trades.place import place_trade
from trades.report import store_reports
from trades.sweep import (
    EXPIRY_MARGIN_SECONDS,
    ask_exchange,
)
from trades.turn import EXECUTE_WITHIN_SECONDS, take_turn


def set_back(table: str, seconds: float, *columns: str) -> None:
    """Set these columns of every row to this many seconds ago, as if time had passed."""
    past = f"now() - make_interval(secs => {seconds})"
    changes = ", ".join(f"{column} = CASE WHEN {column} IS NOT NULL THEN {past} END" for column in columns)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")  # the triggers don't let these columns change
        cursor.execute(f"UPDATE {table} SET {changes}")
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def ask_now() -> int:
    """Ask the exchange about all trades in flight, as if they had been in flight for a long time."""
    Trade.objects.filter(status=Status.IN_PROGRESS).update(ask_at="2020-01-01T00:00:00Z")
    return ask_exchange()


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.02)


def entries(exchange: StandInExchange, trade: Trade) -> list[dict[str, Any]]:
    return [entry for entry in exchange.record() if entry["tradeId"] == str(trade.id)]


def status(trade: Trade) -> str:
    trade.refresh_from_db()
    return trade.status


# -- asking the exchange


def test_trades_lost_by_the_exchange_are_executed_again_with_the_same_id(
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


def test_trades_that_the_exchange_stored_without_responding_are_found(
    exchange: StandInExchange, trade: Trade, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "TRADING_SECONDS_MAX", 0.6)
    exchange.faults(executeNoAnswerRate=1, callbackDropRate=1, latencyMs=0)
    take_turn([alice.id], "test")
    wait_until(lambda: [entry["status"] for entry in entries(exchange, trade)] == ["FILLED"])
    ask_now()
    take_turn([alice.id], "test")
    assert status(trade) == Status.FILLED
    assert len(entries(exchange, trade)) == 1


def test_if_the_callback_is_lost_the_sweep_settles_the_trade(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    exchange.faults(callbackDropRate=1, latencyMs=0)
    take_turn([alice.id], "test")
    wait_until(lambda: [entry["status"] for entry in entries(exchange, trade)] == ["FILLED"])
    assert not Report.objects.filter(trade_id=trade.id).exists()
    ask_now()
    assert Report.objects.get(trade_id=trade.id).source == Report.Source.SWEEP
    claim(alice)
    assert status(trade) == Status.FILLED


def test_a_callback_after_the_sweep_has_settled_changes_nothing(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    exchange.faults(callbackDropRate=1, latencyMs=0)
    take_turn([alice.id], "test")
    wait_until(lambda: [entry["status"] for entry in entries(exchange, trade)] == ["FILLED"])
    ask_now()
    claim(alice)
    report = gateway.ask(trade.id)
    assert report is not None
    store_reports([report], Report.Source.CALLBACK)
    assert Report.objects.filter(trade_id=trade.id).count() == 1


@pytest.mark.parametrize("fault", ["down", "closed"])
def test_no_response_changes_nothing(
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


def test_a_trade_that_the_exchange_is_still_working_on_is_left_alone(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    take_turn([alice.id], "test")
    set_back("trades_trade", 3600, "expires_at")
    ask_now()
    assert not Report.objects.filter(trade_id=trade.id).exists()
    assert len(entries(exchange, trade)) == 1


def test_expired_trades_unknown_to_the_exchange_are_rejected_and_never_executed(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    claim(alice)
    set_back("trades_trade", EXPIRY_MARGIN_SECONDS + 1, "expires_at")
    ask_now()
    assert claim(alice) == []
    assert (status(trade), trade.reason_code) == (Status.REJECTED, "expired")
    assert entries(exchange, trade) == []
    assert Balance.objects.get(customer=alice).held == 0


def test_a_trade_within_the_expiry_margin_is_neither_rejected_nor_executed(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    claim(alice)
    set_back("trades_trade", 1, "expires_at")
    ask_now()
    claim(alice)
    assert (status(trade), entries(exchange, trade)) == (Status.IN_PROGRESS, [])


def test_only_one_sweep_asks_about_a_trade(exchange: StandInExchange, trade: Trade, alice: Customer) -> None:
    take_turn([alice.id], "test")
    assert ask_now() == 1
    assert ask_exchange() == 0


def test_a_trade_that_was_just_sent_is_not_asked_about(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    take_turn([alice.id], "test")
    assert ask_exchange() == 0


def test_without_trades_in_flight_the_exchange_is_not_asked(trade: Trade, settings: Any) -> None:
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    assert ask_exchange() == 0


# -- orders on which the exchange fails or stays silent


def open_accounts(count: int, label: str) -> list[Customer]:
    return [open_account(f"{label}{number}@example.com", Decimal(1000)) for number in range(count)]


def place_buys(customers: list[Customer], ticker: str) -> list[Trade]:
    return [place_trade(customer.id, ticker, "BUY", 1)[0] for customer in customers]


def test_an_order_on_which_the_exchange_fails_does_not_delay_others(exchange: StandInExchange, db: None) -> None:
    exchange.faults(latencyMs=0, callbackDropRate=1, poisonTickers=["IBM"])
    unlucky_customers, other_customers = open_accounts(1, "unlucky"), open_accounts(11, "other")
    (failing,) = place_buys(unlucky_customers, "IBM")
    trades = place_buys(other_customers, "AAPL")
    customer_ids = [customer.id for customer in unlucky_customers + other_customers]
    take_turn(customer_ids, "test")
    assert not count_known(exchange, trades), "the call with all trades failed as a whole"
    assert ask_exchange() == 12, "all are asked about immediately"
    assert count_known(exchange, trades) == len(trades)
    assert (status(failing), count_known(exchange, [failing])) == (Status.IN_PROGRESS, 0)
    trade_ids = {str(trade.id) for trade in trades}
    wait_until(lambda: all(entry["status"] == "FILLED" for entry in exchange.record() if entry["tradeId"] in trade_ids))
    Trade.objects.filter(status=Status.IN_PROGRESS).update(ask_at="2020-01-01T00:00:00Z")
    ask_exchange()
    take_turn(customer_ids, "test")
    assert {status(trade) for trade in trades} == {Status.FILLED}
    assert status(failing) == Status.IN_PROGRESS
    set_back("trades_trade", EXPIRY_MARGIN_SECONDS + 3600, "expires_at")
    ask_now()
    take_turn(customer_ids, "test")
    failing.refresh_from_db()
    assert (failing.status, failing.reason_code) == (Status.REJECTED, "expired")


def count_known(exchange: StandInExchange, trades: list[Trade]) -> int:
    return len({entry["tradeId"] for entry in exchange.record()} & {str(trade.id) for trade in trades})


@pytest.mark.django_db(transaction=True)  # no transaction may stay open while the exchange is silent
def test_trades_about_which_the_exchange_is_silent_do_not_delay_others(
    exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.faults(latencyMs=0, callbackDropRate=1, silentTickers=["IBM"])
    silent_customers, other_customers = open_accounts(10, "silenced"), open_accounts(14, "other")
    place_buys(silent_customers, "IBM")
    take_turn([customer.id for customer in silent_customers], "test")
    trades = place_buys(other_customers, "AAPL")
    take_turn([customer.id for customer in other_customers], "test")
    wait_until(lambda: count_known(exchange, trades) == 14)
    monkeypatch.setattr(gateway, "TRADING_SECONDS_MAX", 0.6)  # five times as fast as in production
    monkeypatch.setattr(sweep, "ROUND_SECONDS_MAX", 2.0)
    Trade.objects.filter(status=Status.IN_PROGRESS).update(ask_at="2020-01-01T00:00:00Z")
    for _ in range(3):
        ask_exchange()
    assert Report.objects.filter(trade_id__in=[trade.id for trade in trades]).count() == 14


def test_the_exchange_is_asked_less_and_less_often_about_a_trade(
    exchange: StandInExchange, trade: Trade, alice: Customer, settings: Any
) -> None:
    claim(alice)
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    pauses = []
    for _ in range(4):
        ask_now()
        trade.refresh_from_db()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT round(extract(epoch FROM ask_at - now())) FROM trades_trade WHERE id = %s", [trade.id]
            )
            pauses.append(cursor.fetchone()[0])
    assert [float(pause) for pause in pauses] == pytest.approx([3, 6, 12, 15], abs=2)


# -- clocks


def test_nothing_expires_before_the_exchanges_own_clock_says_so(
    exchange: StandInExchange, trade: Trade, alice: Customer
) -> None:
    """The database's clock can be ahead after a failover, or the exchange's clock can be behind."""
    claim(alice)
    set_back("trades_trade", EXPIRY_MARGIN_SECONDS + 60, "expires_at")
    exchange.move_clock(-3600)
    ask_now()
    claim(alice)
    assert status(trade) == Status.IN_PROGRESS
    assert len(entries(exchange, trade)) == 1, "by the exchange's clock the trade has not expired"


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_trade_expires_by_the_exchanges_clock(
    exchange: StandInExchange, trade: Trade, alice: Customer, ahead: int
) -> None:
    exchange.move_clock(ahead)
    exchange_time.forget()
    take_turn([alice.id], "test")
    (entry,) = entries(exchange, trade)
    assert entry["status"] == "ACCEPTED"
    trade.refresh_from_db()
    seconds_left = (trade.expires_at - timezone.now()).total_seconds() - ahead  # type: ignore[operator]
    assert seconds_left == pytest.approx(EXECUTE_WITHIN_SECONDS, abs=5)


def test_the_difference_between_the_clocks_is_measured(exchange: StandInExchange, db: None) -> None:
    exchange.move_clock(90)
    clock_skew.measure()
    assert clock_skew.latest() == pytest.approx(90, abs=2)
    exchange.move_clock(0)
    clock_skew.measure()
    assert clock_skew.latest() == pytest.approx(0, abs=2)
