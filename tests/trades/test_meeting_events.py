"""Two events that affect the same books: a split and a queued trade, a dividend and an unsettled trade, and so on."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.audit import BOOKS, examine
from accounts.funding import UnsettledFunds, withdraw
from accounts.models import Balance, Customer, GoodFaithViolation, Lot, Position, Posting
from accounts.settlement import cash_of
from exchange import calendar, market
from tests.factories import FeeRateFactory
from tests.people import claim, send_report, trade
from trades import corporate_actions, fees
from trades.audit import TRADES
from trades.corporate_actions import apply_due, enter
from trades.models import CorporateAction, Reason, Status, WhenClosed
from trades.place import place_trade
from web.timezones import eastern_today

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_halt_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the wait for other processes to learn of a halt, because there are none."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)


def assert_books_are_correct() -> None:
    findings = examine(BOOKS + TRADES)
    assert findings.violations == []
    assert findings.ok


def set_hours(*, is_open: bool) -> None:
    moment = timezone.now() + timedelta(hours=7)
    hours = {"isOpen": is_open, "hours": "nyse", "nextOpen": moment, "nextClose": moment}
    cache.set(market.CLOCK_KEY, (timezone.now().timestamp() + 3600, hours), 3600)
    market.forget()


def apply_action(kind: str, **terms: Any) -> CorporateAction:
    """Enter a corporate action of AAPL and apply it; by default its ex-date was before the last weekend."""
    terms = {"ticker": "AAPL", "ex_date": eastern_today() - timedelta(days=4)} | terms
    action = enter(CorporateAction(kind=kind, **terms), "staff 1 and 2")
    while apply_due():
        continue
    action.refresh_from_db()
    return action


def test_a_split_rejects_a_queued_buy_and_the_next_trade_in_line_continues(alice: Customer) -> None:
    set_hours(is_open=False)
    queued, _ = place_trade(alice.id, "AAPL", "BUY", 1, when_closed=WhenClosed.QUEUE)
    next_in_line, _ = place_trade(alice.id, "MSFT", "BUY", 1, when_closed=WhenClosed.QUEUE)
    assert claim(alice) == []
    action = apply_action("SPLIT", numerator=2, denominator=1)
    queued.refresh_from_db()
    next_in_line.refresh_from_db()
    assert (queued.status, queued.reason_code) == (Status.REJECTED, Reason.CORPORATE_ACTION)
    assert (next_in_line.status, action.state) == (Status.PLACED, CorporateAction.State.DONE)
    assert Position.objects.get(customer=alice, ticker="AAPL").quantity == 20
    assert Balance.objects.get(customer=alice).held == 0
    set_hours(is_open=True)
    assert claim(alice) == [next_in_line]
    assert_books_are_correct()


def at_noon_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


def backdate_postings(moment: datetime, *causes: Any) -> None:
    """Move the postings of these trades to an earlier moment."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        Posting.objects.filter(cause__in=causes).update(created_at=moment)
        cursor.execute("ALTER TABLE accounts_posting ENABLE TRIGGER USER")


def test_shares_that_have_not_settled_on_the_record_date_count_for_the_dividend(alice: Customer, bob: Customer) -> None:
    """Bob and Alice buy on the day before the ex-date, and Alice sells on the ex-date."""
    today = eastern_today()
    before = today - timedelta(days=1)
    bought = [trade(bob, "BUY", 3, "10", before, "AAPL"), trade(alice, "BUY", 2, "10", before, "AAPL")]
    first = Posting.objects.get(customer=alice, ticker="AAPL", change=10)
    backdate_postings(at_noon_of(before), *(purchase.id for purchase in bought), first.cause)
    sold = trade(alice, "SELL", 12, "20", today, "AAPL")
    late = trade(bob, "BUY", 5, "10", today, "AAPL")
    assert all(each.settles_on is not None and each.settles_on > before for each in (*bought, sold, late))
    cash = {customer.id: Balance.objects.get(customer=customer).amount for customer in (alice, bob)}
    action = apply_action("CASH_DIVIDEND", amount_per_share=Decimal("0.5"), ex_date=today, pay_date=today)
    assert (action.holders, action.shares, action.cash) == (2, 15, Decimal("7.5"))
    assert Balance.objects.get(customer=alice).amount == cash[alice.id] + 6
    assert Balance.objects.get(customer=bob).amount == cash[bob.id] + Decimal("1.5")


WEDNESDAY, FRIDAY = date(2026, 11, 25), date(2026, 11, 27)  # with Thanksgiving between
BEFORE_COLUMBUS, COLUMBUS_DAY, AFTER_COLUMBUS = date(2026, 10, 9), date(2026, 10, 12), date(2026, 10, 13)


@pytest.mark.parametrize(
    ("bought_on", "sold_on", "settles_on", "is_violation"),
    [
        (WEDNESDAY, WEDNESDAY, FRIDAY, True),
        (WEDNESDAY, FRIDAY, FRIDAY, False),
        (BEFORE_COLUMBUS, COLUMBUS_DAY, AFTER_COLUMBUS, True),  # the exchange is open, but nothing settles
        (BEFORE_COLUMBUS, AFTER_COLUMBUS, AFTER_COLUMBUS, False),
    ],
)
def test_over_a_holiday_proceeds_and_the_shares_bought_with_them_settle_later(
    broke: Customer, bought_on: date, sold_on: date, settles_on: date, is_violation: bool
) -> None:
    sale = trade(broke, "SELL", 4, "10", bought_on, "AAPL")
    trade(broke, "BUY", 4, "10", bought_on)
    assert (sale.settles_on, Lot.objects.get(ticker="KO").paid_with_until) == (settles_on, settles_on)
    trade(broke, "SELL", 4, "11", sold_on)
    found = [(violation.sold_on, violation.settles_on) for violation in GoodFaithViolation.objects.all()]
    assert found == ([(sold_on, settles_on)] if is_violation else [])
    assert_books_are_correct()


def test_the_trade_date_determines_the_fees(alice: Customer) -> None:
    """A trade is placed under one rate, executed under the next, and posted under a third."""
    placed_on, executed_on, posted_on = date(2026, 3, 2), date(2026, 3, 3), eastern_today()
    for first, per_usd in ((placed_on, "0.001"), (executed_on, "0.002"), (posted_on, "0.009")):
        FeeRateFactory.create(first_day=first, per_usd=Decimal(per_usd), at="2020-01-01T00:00:00Z")
    fees.expire()
    sale, _ = place_trade(alice.id, "AAPL", "SELL", 10)
    claim(alice)
    send_report(sale, Status.FILLED, Decimal(100), executedAt=f"{executed_on}T17:00:00.000000Z")
    claim(alice)
    sale.refresh_from_db()
    assert (sale.fees, sale.net_amount) == ({"sec": "2.0000"}, 998)
    fees.expire()
    assert_books_are_correct()


def test_a_reverse_split_that_ends_a_position_leaves_unsettled_cash_unchanged(alice: Customer) -> None:
    sale = trade(alice, "SELL", 4, "100", None, "AAPL")  # 400, of which nothing has settled
    apply_action("SPLIT", numerator=1, denominator=20, reference_price=Decimal(2000))  # 6 shares become 0.3 of one
    settles_on = calendar.settlement_date(eastern_today())
    cash = cash_of(alice.id)
    assert (sale.settles_on, cash.unsettled) == (settles_on, 400)
    assert (cash.amount, cash.withdrawable) == (2000, 1600), "the 600 in lieu can be withdrawn immediately"
    assert Position.objects.get(customer=alice, ticker="AAPL").quantity == 0
    assert not Lot.objects.filter(customer=alice, remaining__gt=0).exists()
    with pytest.raises(UnsettledFunds):
        withdraw(alice.id, Decimal(1601))
    withdraw(alice.id, Decimal(1600))
    assert_books_are_correct()


def test_a_reverse_split_of_shares_paid_with_unsettled_cash_is_no_violation(
    broke: Customer,
) -> None:
    trade(broke, "SELL", 4, "100", None, "AAPL")
    trade(broke, "BUY", 1, "200", None, "AAPL")
    apply_action("SPLIT", numerator=1, denominator=20, reference_price=Decimal(2000))
    assert not Lot.objects.filter(customer=broke, remaining__gt=0).exists()
    assert not GoodFaithViolation.objects.exists()
    assert cash_of(broke.id).amount == 200 + 700
    assert_books_are_correct()
