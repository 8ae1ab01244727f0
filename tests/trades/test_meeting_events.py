"""Two events of the books that meet: a split and a queued trade, a dividend and an unsettled trade, and so on."""

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
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait until other processes know of a halt, because there are none."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)


def books_are_right() -> bool:
    findings = examine(BOOKS + TRADES)
    assert findings.violations == []
    return findings.ok


def set_hours(*, is_open: bool) -> None:
    moment = timezone.now() + timedelta(hours=7)
    hours = {"isOpen": is_open, "hours": "nyse", "nextOpen": moment, "nextClose": moment}
    cache.set(market.CLOCK_KEY, (timezone.now().timestamp() + 3600, hours), 3600)
    market.forget()


def act(kind: str, **terms: Any) -> CorporateAction:
    """Enter a corporate action of AAPL and apply it; by default its ex-date was before the last weekend."""
    terms = {"ticker": "AAPL", "ex_date": eastern_today() - timedelta(days=4)} | terms
    action = enter(CorporateAction(kind=kind, **terms), "staff 1 and 2")
    while apply_due():
        continue
    action.refresh_from_db()
    return action


def test_a_split_cancels_a_queued_buy_and_what_waits_behind_it_goes_on(alice: Customer) -> None:
    set_hours(is_open=False)
    queued, _ = place_trade(alice.id, "AAPL", "BUY", 1, when_closed=WhenClosed.QUEUE)
    behind, _ = place_trade(alice.id, "MSFT", "BUY", 1, when_closed=WhenClosed.QUEUE)
    assert claim(alice) == []
    action = act("SPLIT", numerator=2, denominator=1)
    queued.refresh_from_db()
    behind.refresh_from_db()
    assert (queued.status, queued.reason_code) == (Status.REJECTED, Reason.CORPORATE_ACTION)
    assert (behind.status, action.state) == (Status.PLACED, CorporateAction.State.DONE)
    assert Position.objects.get(customer=alice, ticker="AAPL").quantity == 20
    assert Balance.objects.get(customer=alice).held == 0
    set_hours(is_open=True)
    assert claim(alice) == [behind]
    assert books_are_right()


def at_noon_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


def book_at(moment: datetime, *causes: Any) -> None:
    """Let the postings of these trades be from an earlier moment."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        Posting.objects.filter(cause__in=causes).update(created_at=moment)
        cursor.execute("ALTER TABLE accounts_posting ENABLE TRIGGER USER")


def test_shares_that_have_not_settled_on_the_record_date_count_for_the_dividend(alice: Customer, bob: Customer) -> None:
    """Bob bought the day before the ex-date, and Alice, who had bought that day too, sells on the ex-date."""
    today = eastern_today()
    before = today - timedelta(days=1)
    bought = [trade(bob, "BUY", 3, "10", before, "AAPL"), trade(alice, "BUY", 2, "10", before, "AAPL")]
    first = Posting.objects.get(customer=alice, ticker="AAPL", change=10)
    book_at(at_noon_of(before), *(each.id for each in bought), first.cause)
    sold = trade(alice, "SELL", 12, "20", today, "AAPL")
    late = trade(bob, "BUY", 5, "10", today, "AAPL")
    assert all(each.settles_on is not None and each.settles_on > before for each in (*bought, sold, late))
    cash = {customer.id: Balance.objects.get(customer=customer).amount for customer in (alice, bob)}
    action = act("CASH_DIVIDEND", amount_per_share=Decimal("0.5"), ex_date=today, pay_date=today)
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
def test_over_a_holiday_the_proceeds_settle_later_and_so_does_what_was_bought_with_them(
    broke: Customer, bought_on: date, sold_on: date, settles_on: date, is_violation: bool
) -> None:
    sale = trade(broke, "SELL", 4, "10", bought_on, "AAPL")
    trade(broke, "BUY", 4, "10", bought_on)
    assert (sale.settles_on, Lot.objects.get(ticker="KO").paid_with_until) == (settles_on, settles_on)
    trade(broke, "SELL", 4, "11", sold_on)
    found = [(each.sold_on, each.settles_on) for each in GoodFaithViolation.objects.all()]
    assert found == ([(sold_on, settles_on)] if is_violation else [])
    assert books_are_right()


def test_fees_are_those_of_the_trade_date_whatever_changes_before_and_after(alice: Customer) -> None:
    """Placed under one rate, executed under the next, and posted under a third."""
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
    assert books_are_right()


def test_a_position_that_a_reverse_split_ends_leaves_unsettled_cash_as_it_was(alice: Customer) -> None:
    sale = trade(alice, "SELL", 4, "100", None, "AAPL")  # 400, of which nothing has settled
    act("SPLIT", numerator=1, denominator=20, reference_price=Decimal(2000))  # 6 shares become 0.3 of one
    settles_on = calendar.settlement_date(eastern_today())
    cash = cash_of(alice.id)
    assert (sale.settles_on, cash.unsettled) == (settles_on, 400)
    assert (cash.amount, cash.withdrawable) == (2000, 1600), "600 in lieu, which can be withdrawn at once"
    assert Position.objects.get(customer=alice, ticker="AAPL").quantity == 0
    assert not Lot.objects.filter(customer=alice, remaining__gt=0).exists()
    with pytest.raises(UnsettledFunds):
        withdraw(alice.id, Decimal(1601))
    withdraw(alice.id, Decimal(1600))
    assert books_are_right()


def test_shares_that_were_paid_with_unsettled_cash_and_end_in_a_reverse_split_are_no_violation(
    broke: Customer,
) -> None:
    trade(broke, "SELL", 4, "100", None, "AAPL")
    trade(broke, "BUY", 1, "200", None, "AAPL")
    act("SPLIT", numerator=1, denominator=20, reference_price=Decimal(2000))
    assert not Lot.objects.filter(customer=broke, remaining__gt=0).exists()
    assert not GoodFaithViolation.objects.exists()
    assert cash_of(broke.id).amount == 200 + 700
    assert books_are_right()
