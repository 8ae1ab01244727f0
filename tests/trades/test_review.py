"""Reports can be judged again, so that every trade can be completed."""

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
from tests.trades.test_sweep import ask_now, set_back, until
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

FULL = LARGEST_AMOUNT - 10


def fill_up(customer: Customer) -> None:
    """Fill the account so that less than 10 USD fit in."""
    Balance.objects.filter(customer=customer).update(amount=FULL)


@pytest.fixture
def blocked(exchange: StandInExchange, alice: Customer) -> Trade:
    """Create an executed SELL whose proceeds exceed the largest balance."""
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    fill_up(alice)
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


# -- judged again


def test_a_repeated_callback_is_judged_again(blocked: Trade, alice: Customer) -> None:
    following, _ = place_trade(alice.id, "AAPL", "SELL", 2)
    send_report(blocked, Status.FILLED, Decimal(100))
    assert claim(alice) == [], "nothing has changed"
    withdraw(alice.id, Decimal(1000))
    send_report(blocked, Status.FILLED, Decimal(100))
    assert claim(alice) == [following]
    blocked.refresh_from_db()
    assert blocked.status == Status.FILLED
    assert Report.objects.filter(trade_id=blocked.id).count() == 1


def test_a_report_that_the_sweep_reads_again_is_judged_again(exchange: StandInExchange, alice: Customer) -> None:
    """The exchange's callback is lost, so nobody but the sweep asks for the repetition."""
    exchange.faults(callbackDropRate=1, latencyMs=0)
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    take_turn([alice.id], "test")
    until(lambda: [e["status"] for e in exchange.record() if e["tradeId"] == str(trade.id)] == ["FILLED"])
    full = Balance.objects.get(customer=alice).amount
    fill_up(alice)
    ask_now()
    take_turn([alice.id], "test")
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.BREAKS_TERMS
    Balance.objects.filter(customer=alice).update(amount=full)
    ask_now()
    take_turn([alice.id], "test")
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.SETTLED


def test_a_report_twice_in_one_set_is_stored_once(alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    store_reports([report_body(trade, Status.FILLED, Decimal(100))] * 2, Report.Source.CALLBACK)
    store_reports([report_body(trade, Status.FILLED, Decimal(100))] * 2, Report.Source.CALLBACK)
    assert Report.objects.filter(trade_id=trade.id).count() == 1


def test_staff_can_have_it_judged_again(blocked: Trade, alice: Customer) -> None:
    report = Report.objects.get(trade_id=blocked.id)
    assert judge_again(report.id, "sam") == Outcome.BREAKS_TERMS
    withdraw(alice.id, Decimal(1000))
    assert judge_again(report.id, "sam") == Outcome.SETTLED
    blocked.refresh_from_db()
    assert blocked.status == Status.FILLED
    with pytest.raises(NotInReview):
        judge_again(report.id, "sam")


def test_a_contradiction_judged_again_moves_nothing(alice: Customer) -> None:
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
def broken(transactional_db: None) -> Iterator[None]:
    """A database that takes no postings of KO: as where something is wrong that nobody has thought of."""
    with connection.cursor() as cursor:
        cursor.execute(BREAK)
    yield
    with connection.cursor() as cursor:
        cursor.execute(MEND)


BREAK = """
    CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END';
    CREATE TRIGGER broken BEFORE INSERT ON accounts_posting FOR EACH ROW WHEN (NEW.ticker = 'KO')
    EXECUTE FUNCTION break();
"""
MEND = "DROP FUNCTION IF EXISTS break() CASCADE"


def test_a_report_that_a_turn_fails_on_is_set_aside_and_the_others_go_on(
    broken: None, exchange: StandInExchange, alice: Customer, bob: Customer
) -> None:
    bad, _ = place_trade(alice.id, "KO", "BUY", 5)
    good, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    claim(alice, bob)
    send_report(bad, Status.FILLED, Decimal(10))
    send_report(good, Status.FILLED, Decimal(10))
    take_turn([alice.id, bob.id], "test")
    good.refresh_from_db()
    assert good.status == Status.FILLED
    report = Report.objects.get(trade_id=bad.id)
    assert report.outcome == Outcome.BREAKS_TERMS
    assert report.reason.startswith("A turn failed on it:")
    with connection.cursor() as cursor:
        cursor.execute(MEND)
    assert judge_again(report.id, "sam") == Outcome.SETTLED


# -- the way out for two members of staff


def test_two_members_of_staff_can_end_a_trade_that_nothing_else_ends(
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
    assert trade.status == Status.IN_PROGRESS, "one alone moves nothing"
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


def test_a_rejection_by_staff_frees_the_hold(
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


def test_staff_can_not_say_what_breaks_the_trades_terms(
    exchange: StandInExchange, alice: Customer, dora: Customer, sam: Customer
) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 3)
    claim(alice)
    set_back("trades_trade", OVERDUE_SECONDS + 1, "claimed_at")
    decide_on_report(enter_report(trade.id, Status.FILLED, Decimal(1000), "By phone.", dora).id, True, sam)
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS
    assert Report.objects.get(trade_id=trade.id).outcome == Outcome.BREAKS_TERMS
