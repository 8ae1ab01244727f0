"""Good-faith violations: marking lots, detecting violations, restricting accounts, and showing all of it."""

import time
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import notice_mail, notices
from accounts.account import Account
from accounts.audit import BOOKS, examine
from accounts.funding import deposit
from accounts.models import Balance, Customer, GoodFaithViolation, Lot
from accounts.restrictions import NotRestricted, lift_restriction, sale_is_early_until, standing_of
from accounts.settlement import cash_of
from exchange import calendar
from exchange.prices import LastPrices, Quote
from tests.factories import StockFactory
from tests.guarantees import lift_guarantees
from tests.people import claim, send_report, trade, violate
from trades import corporate_actions
from trades.audit import TRADES, good_faith
from trades.estimate import buying_power, estimate_trade
from trades.hold import reason_too_expensive
from trades.models import CorporateAction, Reason, Status, Trade
from trades.place import place_trade
from web.timezones import eastern_today

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def in_90_days() -> date:
    return eastern_today() + timedelta(days=90)


def books_are_correct() -> bool:
    findings = examine(BOOKS + TRADES)
    assert findings.violations == []
    return findings.ok


def paid_dates(customer: Customer) -> list[date | None]:
    return [lot.unpaid_until for lot in Lot.objects.filter(customer=customer, ticker="KO").order_by("id")]


def test_a_lot_is_marked_with_the_day_on_which_it_is_paid_for(broke: Customer) -> None:
    deposit(broke.id, Decimal(50))
    trade(broke, "SELL", 4, "10", MONDAY, "AAPL")  # 40 settle on Tuesday
    trade(broke, "BUY", 1, "50", MONDAY)  # with settled cash
    trade(broke, "BUY", 1, "30", MONDAY)
    trade(broke, "SELL", 2, "10", TUESDAY, "AAPL")  # 20 settle on Wednesday
    trade(broke, "BUY", 1, "10", TUESDAY)  # with cash that has settled by now
    trade(broke, "BUY", 1, "20", TUESDAY)
    assert paid_dates(broke) == [None, TUESDAY, None, date(2026, 11, 25)]
    assert set(Lot.objects.filter(customer=broke, ticker="KO").values_list("paid_with_until", flat=True)) == {
        MONDAY,
        TUESDAY,
        date(2026, 11, 25),
    }
    assert books_are_correct()


def test_selling_before_that_day_is_a_violation_but_on_it_is_not(broke: Customer) -> None:
    trade(broke, "SELL", 4, "10", MONDAY, "AAPL")
    trade(broke, "BUY", 4, "10", MONDAY)
    early = trade(broke, "SELL", 1, "10", MONDAY)
    trade(broke, "SELL", 3, "10", TUESDAY)
    violation = GoodFaithViolation.objects.get()
    assert (violation.cause, violation.number, violation.restricts_until) == (early.id, 1, None)
    assert (violation.bought_on, violation.sold_on, violation.settles_on) == (MONDAY, MONDAY, TUESDAY)
    assert violation.lot.cause == Trade.objects.get(ticker="KO", type="BUY").id
    assert violation.sentence == (
        "You sold KO on Nov 23, 2026 that you had bought on Nov 23, 2026 with proceeds that settle on Nov 24, 2026."
    )
    assert books_are_correct()


def test_shares_from_before_are_sold_first_and_violate_nothing(broke: Customer) -> None:
    deposit(broke.id, Decimal(10))
    trade(broke, "BUY", 1, "10", MONDAY)
    trade(broke, "SELL", 1, "10", MONDAY, "AAPL")
    trade(broke, "BUY", 1, "10", MONDAY)
    trade(broke, "SELL", 1, "12", MONDAY)
    assert not GoodFaithViolation.objects.exists()
    Balance.objects.update(lot_method="lifo")
    trade(broke, "BUY", 1, "12", MONDAY)
    trade(broke, "SELL", 1, "12", MONDAY)
    assert GoodFaithViolation.objects.count() == 1
    assert books_are_correct()


def test_marking_lots_costs_a_turn_one_statement(alice: Customer, bob: Customer) -> None:
    def queries_of_a_turn(*customers: Customer) -> int:
        for customer in customers:
            trade, _ = place_trade(customer.id, "KO", "BUY", 1)
            claim(customer)
            send_report(trade, Status.FILLED, Decimal(10))
        with CaptureQueriesContext(connection) as queries:
            claim(*customers)
        return len(queries)

    queries_of_a_turn(alice)
    assert queries_of_a_turn(alice) == queries_of_a_turn(alice, bob)


def test_violations_count_for_twelve_months(broke: Customer) -> None:
    numbers = []
    for day in (date(2025, 11, 24), date(2025, 11, 25), date(2026, 11, 24), date(2026, 11, 25)):
        numbers.append(GoodFaithViolation.objects.get(cause=violate(broke, day).id).number)
    assert numbers == [1, 2, 2, 2]  # a violation no longer counts on the same day of the next year
    assert books_are_correct()


def test_the_third_violation_restricts_the_account_and_is_shown_everywhere(
    broke: Customer, api_of: Any, client: Client
) -> None:
    violate(broke)
    violate(broke)
    trade(broke, "SELL", 1, "10", None, "AAPL")
    trade(broke, "BUY", 1, "10")
    sale, _ = place_trade(broke.id, "KO", "SELL", 1)
    purchase, _ = place_trade(broke.id, "MSFT", "BUY", 1)
    claim(broke)
    send_report(sale, Status.FILLED, Decimal(10), executedAt=f"{eastern_today()}T17:00:00.000000Z")
    claim(broke)  # settles the sale and checks the purchase in the same transaction
    purchase.refresh_from_db()
    assert (purchase.status, purchase.reason_code) == (Status.REJECTED, Reason.UNSETTLED_FUNDS)
    until = in_90_days()
    third = GoodFaithViolation.objects.latest("id")
    assert (third.number, third.restricts_until) == (3, until)
    assert (cash_of(broke.id).spendable, buying_power(broke.id)) == (0, 0)
    assert books_are_correct()

    balance = api_of(broke).get("/api/v1/balance").json()
    assert (balance["goodFaithViolations"], balance["settledCashOnlyUntil"]) == (3, until.isoformat())
    assert api_of(broke).get("/alpaca/v2/account").json()["buying_power"] == "0"
    client.force_login(broke)
    for page in ("/cash", "/account"):
        html = client.get(page).content.decode()
        assert f"Until {until:%b} {until.day}, {until.year} your account buys with settled cash only" in html
        assert third.sentence in html
    notices.set_muted(broke.id, list(notices.Kind))  # this notice can't be muted
    notice_mail.send_notices()
    (message,) = [mail_sent for mail_sent in mail.outbox if "ood-faith" in mail_sent.subject]
    assert f"until {until:%B} {until.day}, {until.year} your account can buy with settled cash only" in message.body


def test_a_restricted_account_buys_with_settled_cash_only(broke: Customer, client: Client) -> None:
    for _ in range(3):
        violate(broke)
    deposit(broke.id, Decimal(500))
    settled = cash_of(broke.id).settled
    assert 0 < settled < cash_of(broke.id).amount
    placed, _ = place_trade(broke.id, "MSFT", "BUY", 100)
    (claimed,) = claim(broke)
    assert (claimed, claimed.max_price) == (placed, settled)
    estimate = estimate_trade(broke.id, "AAPL", "BUY", 1)
    assert (estimate.settled_cash_until, estimate.cash > estimate.spendable) == (in_90_days(), True)
    StockFactory.create(ticker="AAPL")
    client.force_login(broke)
    assert client.get("/stocks/AAPL").context["buying_power"] == estimate.spendable == buying_power(broke.id)
    assert books_are_correct()


def test_the_reason_for_rejecting_a_restricted_accounts_purchase() -> None:
    restricted = Account(1, Decimal(100), Decimal(0), settled_cash_until=in_90_days())
    unrestricted = Account(2, Decimal(100), Decimal(0))
    trade = Trade(ticker="ZZZZ", type="BUY", quantity=1, max_price=Decimal(20))
    for account, price, reason in (
        (restricted, "50", Reason.UNSETTLED_FUNDS),
        (restricted, "101", Reason.INSUFFICIENT_FUNDS),
        (unrestricted, "50", Reason.INSUFFICIENT_FUNDS),
    ):
        last_prices = LastPrices({"ZZZZ": (time.time(), Quote(Decimal(price), Decimal(price), timezone.now()))}, 60)
        assert reason_too_expensive(account, trade, last_prices) == reason


def test_staff_lift_a_restriction_and_the_next_violation_restricts_again(broke: Customer, bob: Customer) -> None:
    with pytest.raises(NotRestricted):
        lift_restriction(broke.id, "A mistake of ours.", bob)
    for _ in range(3):
        violate(broke)
    lift_restriction(broke.id, "A mistake of ours.", bob)
    assert standing_of(broke.id).settled_cash_until is None
    assert books_are_correct()
    violate(broke)
    assert GoodFaithViolation.objects.latest("id").number == 4
    assert standing_of(broke.id).settled_cash_until == in_90_days()
    assert books_are_correct()


def test_a_sale_that_would_be_a_violation_is_predicted(broke: Customer) -> None:
    until = calendar.settlement_date(eastern_today())
    trade(broke, "SELL", 4, "100", None, "AAPL")
    trade(broke, "BUY", 1, "200", None, "AAPL")
    assert sale_is_early_until(broke.id, "AAPL", 6, eastern_today()) is None  # the older shares are sold first
    assert sale_is_early_until(broke.id, "AAPL", 7, eastern_today()) == until
    assert sale_is_early_until(broke.id, "AAPL", 1, eastern_today(), ahead=6) == until
    assert sale_is_early_until(broke.id, "AAPL", 7, until) is None


def test_a_split_keeps_the_paid_date_and_is_not_a_sale(broke: Customer) -> None:
    trade(broke, "SELL", 4, "10", None, "AAPL")
    purchase = trade(broke, "BUY", 3, "10")
    (paid_on,) = paid_dates(broke)
    corporate_actions.enter(
        CorporateAction(
            kind="SPLIT", ticker="KO", ex_date=eastern_today() - timedelta(days=5), numerator=2, denominator=1
        ),
        "staff 1",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corporate_actions, "HALT_SECONDS", 0)
        corporate_actions.apply_due()
    lot = Lot.objects.get(customer=broke, ticker="KO", remaining__gt=0)
    assert (lot.remaining, lot.unpaid_until, lot.origin) == (6, paid_on, Lot.objects.get(cause=purchase.id).id)
    assert not GoodFaithViolation.objects.exists()
    assert books_are_correct()


BROKEN = [
    ("lot_is_marked_until_it_is_paid_for", "UPDATE accounts_lot SET paid_with_until = acquired_on WHERE ticker = 'KO'"),
    ("lot_is_marked_until_it_is_paid_for", "UPDATE accounts_lot SET paid_with_until = paid_with_until + 1"),
    ("early_sale_is_a_violation", "DELETE FROM accounts_goodfaithviolation"),
    ("early_sale_is_a_violation", "UPDATE accounts_goodfaithviolation SET cause = gen_random_uuid()"),
    ("early_sale_is_a_violation", "UPDATE accounts_goodfaithviolation SET settles_on = settles_on + 1"),
    ("violation_is_a_sale", "UPDATE accounts_goodfaithviolation SET cause = gen_random_uuid()"),
    ("violation_is_a_sale", "UPDATE accounts_goodfaithviolation SET ticker = 'IBM'"),
    ("restriction_follows_from_its_violation", "UPDATE accounts_goodfaithviolation SET number = 4 WHERE number = 3"),
    ("restriction_follows_from_its_violation", "UPDATE accounts_balance SET settled_cash_until = NULL"),
    ("restriction_follows_from_its_violation", "UPDATE accounts_balance SET settled_cash_until = '2030-01-02'"),
]


@pytest.mark.parametrize(("rule", "statement"), BROKEN)
def test_each_rule_finds_its_violation(broke: Customer, bob: Customer, rule: str, statement: str) -> None:
    for _ in range(3):
        violate(broke)
    assert books_are_correct()
    lift_guarantees()
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert examine(BOOKS + TRADES).counts[rule]


def test_every_rule_has_been_broken_by_a_test() -> None:
    assert {rule for rule, _ in BROKEN} == {rule.name for rule in good_faith.RULES}
