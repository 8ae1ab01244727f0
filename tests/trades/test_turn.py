"""A lane's turn settles reports, claims the next trades and sends them to the exchange."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Balance, Customer, Position, Posting
from exchange import market
from tests.conftest import StandInExchange
from tests.people import claim, open_account, receive_shares, report_body, send_report
from trades import controls, fees
from trades.market_now import market_now
from trades.models import Outcome, Reason, Report, Status, StatusChange, Trade
from trades.place import place_trade
from trades.report import store_reports
from trades.turn import LOOK_AHEAD, take_turn


def place(customer: Customer, type: str = "BUY", quantity: int = 1, ticker: str = "AAPL") -> Trade:
    trade, _ = place_trade(customer.id, ticker, type, quantity)
    return trade


def balance(customer: Customer) -> tuple[Decimal, Decimal]:
    row = Balance.objects.get(customer=customer)
    return row.amount, row.held


def position(customer: Customer, ticker: str = "AAPL") -> tuple[int, int, Decimal]:
    row = Position.objects.get(customer=customer, ticker=ticker)
    return row.quantity, row.held, row.average_price


def test_a_buy_in_flight_holds_all_available_cash(alice: Customer) -> None:
    trade = place(alice, "BUY", 3)
    assert claim(alice) == [trade]
    trade.refresh_from_db()
    assert (trade.status, trade.max_price) == (Status.IN_PROGRESS, 1000)
    assert balance(alice) == (1000, 1000)


def test_a_sell_in_flight_holds_its_shares_and_no_cash(alice: Customer) -> None:
    place(alice, "SELL", 4)
    (trade,) = claim(alice)
    assert trade.max_price is None
    assert position(alice) == (10, 4, 100)
    assert balance(alice) == (1000, 0)


def test_a_filled_buy_takes_cash_and_adds_shares_at_the_average_price(alice: Customer) -> None:
    trade = place(alice, "BUY", 5)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("130.0000"))
    claim(alice)
    trade.refresh_from_db()
    assert (trade.status, trade.price, trade.amount) == (Status.FILLED, 130, 650)
    assert balance(alice) == (350, 0)
    assert position(alice) == (15, 0, 110)
    assert [
        (posting.ticker, posting.kind, posting.change, posting.total)
        for posting in Posting.objects.filter(cause=trade.id).order_by("id")
    ] == [
        ("", "buy", -650, 350),
        ("AAPL", "buy", 5, 15),
    ]
    assert [
        (change.from_status, change.to_status) for change in StatusChange.objects.filter(trade=trade).order_by("id")
    ] == [
        ("", "PLACED"),
        ("PLACED", "IN PROGRESS"),
        ("IN PROGRESS", "FILLED"),
    ]


def test_a_filled_sell_credits_cash_and_takes_shares(alice: Customer) -> None:
    trade = place(alice, "SELL", 4)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("120.5000"))
    claim(alice)
    assert balance(alice) == (1482, 0)
    assert position(alice) == (6, 0, 100)


def test_a_rejected_trade_releases_its_hold_and_posts_nothing(alice: Customer) -> None:
    trade = place(alice, "BUY", 4)
    claim(alice)
    send_report(trade, Status.REJECTED, reasonCode="past_market_hours")
    claim(alice)
    trade.refresh_from_db()
    assert (trade.status, trade.reason_code) == (Status.REJECTED, "past_market_hours")
    assert trade.reason == "The market was closed."
    assert balance(alice) == (1000, 0)
    assert not Posting.objects.filter(cause=trade.id).exists()


def test_an_unknown_reason_code_is_an_exchange_error_and_its_text_is_kept(alice: Customer) -> None:
    trade = place(alice)
    claim(alice)
    send_report(trade, Status.REJECTED, reasonCode="solar_flare", reason="The sun did it.")
    claim(alice)
    trade.refresh_from_db()
    assert trade.reason_code == Reason.EXCHANGE_ERROR
    assert StatusChange.objects.get(trade=trade, to_status="REJECTED").reason == "The sun did it."


def test_the_next_trade_is_claimed_in_the_transaction_that_settles_the_previous_one(alice: Customer) -> None:
    first, second, third = place(alice), place(alice), place(alice)
    assert claim(alice) == [first]
    assert claim(alice) == []
    send_report(first, Status.FILLED, Decimal(10))
    assert claim(alice) == [second]
    send_report(second, Status.REJECTED)
    assert claim(alice) == [third]


def test_a_buy_without_cash_is_rejected_without_asking_the_exchange(exchange: StandInExchange, db: None) -> None:
    customer = open_account("poor@example.com", Decimal("100"))
    receive_shares(customer, "AAPL", 1, Decimal("100"))
    trade = place(customer)
    before = len(exchange.record())
    take_turn([customer.id], "test")
    trade.refresh_from_db()
    assert (trade.status, trade.reason_code) == (Status.REJECTED, Reason.INSUFFICIENT_FUNDS)
    assert len(exchange.record()) == before


def test_a_sell_of_more_than_is_held_is_rejected_and_the_next_is_claimed(alice: Customer) -> None:
    too_many, sellable = place(alice, "SELL", 11), place(alice, "SELL", 10)
    assert claim(alice) == [sellable]
    too_many.refresh_from_db()
    assert (too_many.status, too_many.reason_code) == (Status.REJECTED, Reason.INSUFFICIENT_SHARES)


def test_a_customer_with_more_rejections_than_a_turn_takes_is_rung_for_again(
    alice: Customer, django_capture_on_commit_callbacks: Any
) -> None:
    trades = [place(alice, "SELL", 99) for _ in range(LOOK_AHEAD + 1)]
    with django_capture_on_commit_callbacks() as rings:
        claim(alice)
    assert len([call for call in rings if "ring" in call.__qualname__]) == 1
    claim(alice)
    assert {trade.status for trade in Trade.objects.filter(pk__in=[trade.pk for trade in trades])} == {Status.REJECTED}


def _refresh_caches() -> None:
    """Refresh market, controls and fees, so that a turn whose statements are counted does not have to."""
    market.forget()
    controls.forget()
    fees.expire()
    market_now()
    controls.rules()
    fees.schedule()


def test_a_turn_needs_the_same_number_of_statements_for_one_customer_as_for_many(
    django_assert_num_queries: Any, db: None
) -> None:
    def count_statements(count: int, label: str) -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        customers = [open_account(f"{label}{n}@example.com", Decimal(1000)) for n in range(count)]
        trades = [place(customer) for customer in customers]
        claim(*customers)
        for trade, customer in zip(trades, customers, strict=True):
            send_report(trade, Status.FILLED, Decimal(10))
            place(customer)
        _refresh_caches()
        with CaptureQueriesContext(connection) as statements:
            assert len(claim(*customers)) == count
        return len(statements)

    assert count_statements(1, "one") == count_statements(12, "many")


def test_the_exchange_gets_the_trades_terms(exchange: StandInExchange, alice: Customer) -> None:
    trade = place(alice, "BUY", 2)
    take_turn([alice.id], "test")
    entry = next(row for row in exchange.record() if row["tradeId"] == str(trade.id))
    assert (entry["stockTicker"], entry["type"], entry["quantity"], entry["status"]) == ("AAPL", "BUY", 2, "ACCEPTED")


@pytest.mark.django_db(transaction=True)
def test_an_error_for_one_customer_does_not_stop_anothers_turn(
    exchange: StandInExchange, alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trades import turn

    place(alice)
    bobs = place(bob)
    hold = turn.hold

    def fail_for_alice(account: Any, trade: Any) -> None:
        if account.customer_id == alice.id:
            raise RuntimeError("planted")
        hold(account, trade)

    monkeypatch.setattr(turn, "hold", fail_for_alice)
    take_turn([alice.id, bob.id], "test")
    bobs.refresh_from_db()
    assert bobs.status == Status.IN_PROGRESS


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"quantity": 4}, Outcome.BREAKS_TERMS),
        ({"quantity": -3}, Outcome.BREAKS_TERMS),
        ({"stockTicker": "MSFT"}, Outcome.BREAKS_TERMS),
        ({"type": "SELL"}, Outcome.BREAKS_TERMS),
        ({"amount": "301.0000"}, Outcome.BREAKS_TERMS),
        ({"price": "400.0000", "amount": "1200.0000"}, Outcome.BREAKS_TERMS),
        ({"status": "ACCEPTED"}, Outcome.BREAKS_TERMS),
        ({"price": "NaN"}, Outcome.MALFORMED),
        ({"price": "1e400"}, Outcome.MALFORMED),
        ({"price": "-1.0000"}, Outcome.MALFORMED),
        ({"price": "100.00001"}, Outcome.MALFORMED),
        ({"price": 100}, Outcome.MALFORMED),
        ({"price": None}, Outcome.MALFORMED),
        ({"quantity": "3"}, Outcome.MALFORMED),
        ({"quantity": True}, Outcome.MALFORMED),
        ({"status": "DONE"}, Outcome.MALFORMED),
        ({"stockTicker": "\x00"}, Outcome.BREAKS_TERMS),
    ],
)
def test_a_report_that_breaks_its_trades_terms_changes_nothing(alice: Customer, change: dict, outcome: str) -> None:
    trade = place(alice, "BUY", 3)
    claim(alice)
    store_reports([report_body(trade, Status.FILLED, Decimal("100")) | change], Report.Source.CALLBACK)
    claim(alice)
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS
    assert Report.objects.get(trade_id=trade.id).outcome == outcome
    assert balance(alice) == (1000, 1000)
    send_report(trade, Status.FILLED, Decimal("100"))
    claim(alice)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED


@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 10_000])
def test_text_that_the_database_refuses_does_not_stop_a_turn(alice: Customer, text: str) -> None:
    trade = place(alice)
    claim(alice)
    send_report(trade, Status.REJECTED, reason=text, reasonCode=text)
    claim(alice)
    trade.refresh_from_db()
    assert (trade.status, trade.reason_code) == (Status.REJECTED, Reason.EXCHANGE_ERROR)


@pytest.mark.parametrize(
    ("later_report", "outcome"),
    [
        ({"status": Status.FILLED, "price": Decimal(100), "executionId": "another"}, Outcome.AGREES),
        ({"status": Status.FILLED, "price": Decimal(101)}, Outcome.CONTRADICTS),
        ({"status": Status.REJECTED}, Outcome.CONTRADICTS),
    ],
)
def test_a_final_trade_ignores_later_reports(alice: Customer, later_report: dict, outcome: str) -> None:
    trade = place(alice, "BUY", 3)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    books = balance(alice), position(alice), Posting.objects.count()
    send_report(trade, **later_report)
    claim(alice)
    assert Report.objects.filter(trade_id=trade.id).latest("id").outcome == outcome
    assert (balance(alice), position(alice), Posting.objects.count()) == books


def test_of_contradicting_reports_in_one_turn_the_first_is_settled(alice: Customer) -> None:
    trade = place(alice, "BUY", 3)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100))
    send_report(trade, Status.REJECTED)
    claim(alice)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
    assert [report.outcome for report in Report.objects.filter(trade_id=trade.id).order_by("id")] == [
        "settled",
        "contradicts",
    ]
    assert balance(alice) == (700, 0)


def test_a_fill_whose_claim_was_lost_waits_for_the_claim(alice: Customer) -> None:
    trade = place(alice, "BUY", 3)
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS
    claim(alice)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
