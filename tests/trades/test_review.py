"""Reports in review can be judged again, so that every trade can end."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection

from accounts.funding import withdraw
from accounts.models import Balance, Customer
from accounts.money import LARGEST_AMOUNT
from tests.conftest import StandInExchange
from tests.factories import CustomerFactory
from tests.people import claim, report_body, send_report
from tests.trades.test_sweep import ask_now, set_back, wait_until
from trades import queries
from trades.models import Outcome, Report, Status, Trade
from trades.place import place_trade
from trades.report import store_reports
from trades.review import (
    OVERDUE_SECONDS,
    DecidedAlready,
    NotInReview,
    NotOverdue,
    OwnReport,
    WrongPrice,
    decide_on_report,
    enter_report,
    judge_again,
)
from trades.turn import take_turn

NEARLY_FULL = LARGEST_AMOUNT - 10


def fill_account(customer: Customer) -> None:
    """Raise the balance to 10 USD below the largest possible amount."""
    Balance.objects.filter(customer=customer).update(amount=NEARLY_FULL)


@pytest.fixture
def blocked(exchange: StandInExchange, alice: Customer) -> Trade:
    """Return a SELL that was executed, but whose proceeds would exceed the largest balance."""
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    fill_account(alice)
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    trade.refresh_from_db()
    assert (trade.status, Report.objects.get(trade_id=trade.id).outcome) == (Status.IN_PROGRESS, Outcome.BREAKS_TERMS)
    return trade


@pytest.fixture
def dora(db: None) -> Customer:
    return CustomerFactory.create(email="dora@example.com")


@pytest.fixture
def sam(db: None) -> Customer:
    return CustomerFactory.create(email="sam@example.com")


# -- judging a report again


def test_a_repeated_callback_is_judged_again(blocked: Trade, alice: Customer) -> None:
    next_trade, _ = place_trade(alice.id, "AAPL", "SELL", 2)
    send_report(blocked, Status.FILLED, Decimal(100))
    assert claim(alice) == [], "the balance is still too large"
    withdraw(alice.id, Decimal(1000))
    send_report(blocked, Status.FILLED, Decimal(100))
    assert claim(alice) == [next_trade]
    blocked.refresh_from_db()
    assert blocked.status == Status.FILLED
    assert Report.objects.filter(trade_id=blocked.id).count() == 1


def test_a_report_that_the_sweep_reads_again_is_judged_again(exchange: StandInExchange, alice: Customer) -> None:
    """The exchange's callback is lost, so only the sweep reads the report."""
    exchange.faults(callbackDropRate=1, latencyMs=0)
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    take_turn([alice.id], "test")
    wait_until(
        lambda: [entry["status"] for entry in exchange.record() if entry["tradeId"] == str(trade.id)] == ["FILLED"]
    )
    balance = Balance.objects.get(customer=alice).amount
    fill_account(alice)
    ask_now()
    take_turn([alice.id], "test")
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.BREAKS_TERMS
    Balance.objects.filter(customer=alice).update(amount=balance)
    ask_now()
    take_turn([alice.id], "test")
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.SETTLED


def test_a_report_repeated_within_a_callback_is_stored_once(alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    store_reports([report_body(trade, Status.FILLED, Decimal(100))] * 2, Report.Source.CALLBACK)
    store_reports([report_body(trade, Status.FILLED, Decimal(100))] * 2, Report.Source.CALLBACK)
    assert Report.objects.filter(trade_id=trade.id).count() == 1


def test_staff_can_have_a_report_judged_again(blocked: Trade, alice: Customer) -> None:
    report = Report.objects.get(trade_id=blocked.id)
    assert judge_again(report.id, "sam") == Outcome.BREAKS_TERMS
    withdraw(alice.id, Decimal(1000))
    assert judge_again(report.id, "sam") == Outcome.SETTLED
    blocked.refresh_from_db()
    assert blocked.status == Status.FILLED
    with pytest.raises(NotInReview):
        judge_again(report.id, "sam")


def test_a_contradiction_judged_again_changes_nothing(alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    send_report(trade, Status.REJECTED)
    claim(alice)
    report = Report.objects.get(trade_id=trade.id, outcome=Outcome.CONTRADICTS)
    assert judge_again(report.id, "sam") == Outcome.CONTRADICTS
    trade.refresh_from_db()
    assert trade.status == Status.FILLED


@pytest.fixture
def broken_postings(transactional_db: None) -> Iterator[None]:
    """Make the database refuse postings of KO, like a fault that nobody has foreseen."""
    with connection.cursor() as cursor:
        cursor.execute(BREAK_POSTINGS)
    yield
    with connection.cursor() as cursor:
        cursor.execute(REPAIR_POSTINGS)


BREAK_POSTINGS = """
    CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END';
    CREATE TRIGGER broken BEFORE INSERT ON accounts_posting FOR EACH ROW WHEN (NEW.ticker = 'KO')
    EXECUTE FUNCTION break();
"""
REPAIR_POSTINGS = "DROP FUNCTION IF EXISTS break() CASCADE"


def test_a_report_that_makes_a_turn_fail_is_set_aside_and_others_are_settled(
    broken_postings: None, exchange: StandInExchange, alice: Customer, bob: Customer
) -> None:
    failing, _ = place_trade(alice.id, "KO", "BUY", 5)
    settling, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    claim(alice, bob)
    send_report(failing, Status.FILLED, Decimal(10))
    send_report(settling, Status.FILLED, Decimal(10))
    take_turn([alice.id, bob.id], "test")
    settling.refresh_from_db()
    assert settling.status == Status.FILLED
    report = Report.objects.get(trade_id=failing.id)
    assert report.outcome == Outcome.BREAKS_TERMS
    assert report.reason.startswith("A turn failed on it:")
    with connection.cursor() as cursor:
        cursor.execute(REPAIR_POSTINGS)
    assert judge_again(report.id, "sam") == Outcome.SETTLED


# -- reports entered by two members of staff


def test_two_members_of_staff_can_end_an_overdue_trade(
    exchange: StandInExchange, alice: Customer, dora: Customer, sam: Customer
) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 3)
    claim(alice)
    with pytest.raises(NotOverdue):
        enter_report(trade.id, Status.FILLED, Decimal(100), "By phone.", dora)
    set_back("trades_trade", OVERDUE_SECONDS + 1, "claimed_at")
    assert [overdue.id for overdue in queries.overdue_trades(OVERDUE_SECONDS)] == [trade.id]
    entered = enter_report(trade.id, Status.FILLED, Decimal(100), "By phone.", dora)
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS, "one member of staff alone can't end a trade"
    with pytest.raises(OwnReport):
        decide_on_report(entered.id, True, dora)
    with pytest.raises(OwnReport):
        decide_on_report(entered.id, True, alice)
    decide_on_report(entered.id, True, sam)
    trade.refresh_from_db()
    assert (trade.status, trade.price, trade.amount) == (Status.FILLED, 100, 300)
    assert Balance.objects.get(customer=alice).amount == 700
    assert Report.objects.get(trade_id=trade.id).source == Report.Source.STAFF
    assert queries.overdue_trades(OVERDUE_SECONDS) == []
    with pytest.raises(DecidedAlready):
        decide_on_report(entered.id, False, sam)


def test_a_rejection_by_staff_releases_the_hold(
    exchange: StandInExchange, alice: Customer, dora: Customer, sam: Customer
) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 3)
    claim(alice)
    set_back("trades_trade", OVERDUE_SECONDS + 1, "claimed_at")
    declined = enter_report(trade.id, Status.REJECTED, None, "They never had it.", dora)
    with pytest.raises(IntegrityError):
        enter_report(trade.id, Status.REJECTED, None, "Twice.", sam)
    decide_on_report(declined.id, False, sam)
    assert not Report.objects.filter(trade_id=trade.id).exists()
    decide_on_report(enter_report(trade.id, Status.REJECTED, None, "They never had it.", dora).id, True, sam)
    trade.refresh_from_db()
    assert (trade.status, trade.reason_code) == (Status.REJECTED, "exchange_error")
    assert Balance.objects.get(customer=alice).held == 0


@pytest.mark.parametrize(
    ("status", "price"),
    [
        (Status.FILLED, None),
        (Status.FILLED, Decimal(0)),
        (Status.FILLED, Decimal("1.00001")),
        (Status.REJECTED, Decimal(1)),
    ],
)
def test_only_a_fill_has_a_price(
    exchange: StandInExchange, alice: Customer, dora: Customer, status: Status, price: Decimal | None
) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 3)
    claim(alice)
    set_back("trades_trade", OVERDUE_SECONDS + 1, "claimed_at")
    with pytest.raises(WrongPrice):
        enter_report(trade.id, status, price, "By phone.", dora)


def test_a_report_by_staff_that_breaks_the_trades_terms_is_not_settled(
    exchange: StandInExchange, alice: Customer, dora: Customer, sam: Customer
) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 3)
    claim(alice)
    set_back("trades_trade", OVERDUE_SECONDS + 1, "claimed_at")
    decide_on_report(enter_report(trade.id, Status.FILLED, Decimal(1000), "By phone.", dora).id, True, sam)
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.BREAKS_TERMS
