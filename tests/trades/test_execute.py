"""Execute sends claimed trades to the exchange and acts on its responses."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Customer
from exchange import gateway
from exchange.messages import Order
from tests.conftest import StandInExchange
from tests.people import claim, open_account
from trades import execute as execute_module
from trades.execute import execute
from trades.models import Report, Status, Trade
from trades.place import place_trade

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def claimed(exchange: StandInExchange, bob: Customer) -> Trade:
    """Return Bob's trade, which is IN PROGRESS and not yet sent."""
    place_trade(bob.id, "AAPL", "BUY", 2)
    return claim(bob)[0]


def entries(exchange: StandInExchange, trade: Trade) -> list[dict[str, Any]]:
    return [entry for entry in exchange.record() if entry["tradeId"] == str(trade.id)]


def status(trade: Trade) -> str:
    trade.refresh_from_db()
    return trade.status


def test_executing_a_trade_twice_sends_it_once(exchange: StandInExchange, claimed: Trade) -> None:
    execute([claimed])
    execute([claimed])
    (entry,) = entries(exchange, claimed)
    assert (entry["stockTicker"], entry["type"], entry["quantity"]) == ("AAPL", "BUY", 2)
    assert not Report.objects.filter(trade_id=claimed.id).exists()


def test_a_trade_is_sent_again_on_the_same_terms(exchange: StandInExchange, claimed: Trade) -> None:
    execute([claimed])
    execute([Trade.objects.get(id=claimed.id)])
    assert len(entries(exchange, claimed)) == 1
    assert not Report.objects.filter(trade_id=claimed.id).exists()


def test_a_large_batch_is_sent_in_several_calls(
    exchange: StandInExchange, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute_module, "TRADES_PER_CALL_MAX", 2)
    customers = [open_account(f"customer{n}@example.com", Decimal(10)) for n in range(5)]
    for customer in customers:
        place_trade(customer.id, "AAPL", "BUY", 1)
    trades = claim(*customers)
    execute(trades)
    recorded_ids = {entry["tradeId"] for entry in exchange.record()}
    assert {str(trade.id) for trade in trades} <= recorded_ids


def test_a_refusal_by_the_exchange_ends_the_trade(exchange: StandInExchange, claimed: Trade, bob: Customer) -> None:
    claimed.expires_at = LONG_AGO
    execute([claimed])
    report = Report.objects.get(trade_id=claimed.id)
    assert report.source == Report.Source.ANSWER
    claim(bob)
    assert (status(claimed), claimed.reason_code) == (Status.REJECTED, "expired")
    assert entries(exchange, claimed) == []


def test_a_refusal_with_an_unknown_code_is_an_exchange_error(exchange: StandInExchange, bob: Customer) -> None:
    trade, _ = place_trade(bob.id, "NO SUCH", "BUY", 2)
    execute(claim(bob))
    claim(bob)
    assert (status(trade), trade.reason_code) == (Status.REJECTED, "exchange_error")


def test_a_refusal_of_one_trade_does_not_affect_the_others(
    exchange: StandInExchange, alice: Customer, bob: Customer
) -> None:
    expired, accepted = place_trade(alice.id, "AAPL", "BUY", 2)[0], place_trade(bob.id, "AAPL", "BUY", 2)[0]
    claimed = claim(alice, bob)
    next(trade for trade in claimed if trade == expired).expires_at = LONG_AGO
    execute(claimed)
    assert len(entries(exchange, accepted)) == 1
    assert [report.trade_id for report in Report.objects.filter(source="answer")] == [expired.id]


def test_a_conflict_leaves_the_trade_in_progress_because_the_exchange_has_its_id(
    exchange: StandInExchange, claimed: Trade
) -> None:
    assert claimed.expires_at is not None
    gateway.execute([Order(claimed.id, "MSFT", "SELL", 1, None, claimed.expires_at)])
    execute([claimed])
    assert not Report.objects.filter(trade_id=claimed.id).exists()
    assert status(claimed) == Status.IN_PROGRESS


@pytest.mark.parametrize("fault", [{"down": True}, {"executeErrorRate": 1}])
def test_an_unusable_response_leaves_the_trade_in_progress(
    exchange: StandInExchange, claimed: Trade, fault: dict[str, Any]
) -> None:
    exchange.faults(**fault)
    execute([claimed])
    assert status(claimed) == Status.IN_PROGRESS
    assert not Report.objects.filter(trade_id=claimed.id).exists()


def test_an_unreachable_exchange_leaves_the_trade_in_progress(claimed: Trade, settings: Any) -> None:
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    execute([claimed])
    assert status(claimed) == Status.IN_PROGRESS


def test_unclaimed_trades_are_not_sent(exchange: StandInExchange, bob: Customer) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 2)
    with pytest.raises(ValueError, match="was not claimed"):
        execute([trade])
    assert entries(exchange, trade) == []


def test_no_trades_means_no_call(settings: Any, django_assert_num_queries: Any) -> None:
    settings.EXCHANGE_URL = "http://127.0.0.1:1"
    execute([])
