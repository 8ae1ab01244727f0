"""The trial balance shows each posting's effect on the firm's accounts, for any day, stored or not."""

import json
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.adjustments import ask_for_adjustment, decide_on_adjustment
from accounts.audit import BOOKS, examine
from accounts.customers import create_customer
from accounts.funding import deposit, withdraw
from accounts.models import Customer
from exchange import calendar
from office import schedule
from tests.factories import FeeRateFactory, PostingFactory
from tests.guarantees import lift_guarantees
from tests.people import claim, open_account, receive_shares, send_report
from trades import fees
from trades.audit import TRADES
from trades.corporate_actions import apply_due, enter
from trades.models import CorporateAction, DayTotal, Status, Trade, Type
from trades.place import place_trade
from trades.trial_balance import store_day_totals, trial_balance
from web.timezones import eastern_today


def today() -> date:
    return eastern_today()


def sell(customer: Customer, ticker: str, quantity: int, price: str, day: date) -> Trade:
    sale, _ = place_trade(customer.id, ticker, Type.SELL, quantity)
    claim(customer)
    send_report(sale, Status.FILLED, Decimal(price), executedAt=f"{day}T17:00:00.000000Z")
    claim(customer)
    sale.refresh_from_db()
    return sale


def adjust(customer: Customer, change: str, reason_code: str) -> None:
    requester, approver = (create_customer(f"{name}-{reason_code}@example.com", None) for name in ("asks", "decides"))
    adjustment = ask_for_adjustment(customer.id, Decimal(change), reason_code, "As agreed.", requester)
    decide_on_adjustment(adjustment.id, True, approver)


def lines_of(day: date) -> dict[str, Decimal]:
    return {line.title: line.amount for line in trial_balance(day).lines}


@pytest.fixture
def ann(db: None) -> Customer:
    """Return a customer with a deposit, a buy, a sale with fees, a dividend, two adjustments and a withdrawal."""
    FeeRateFactory.create(at="2020-01-01T00:00:00Z")
    FeeRateFactory.create(kind="taf", per_usd=0, per_share=Decimal("0.000166"), at="2020-01-01T00:00:00Z")
    fees.expire()
    ann = open_account("ann@example.com", Decimal(1000))
    receive_shares(ann, "KO", 10, Decimal(50))  # on January 2
    sell(ann, "KO", 4, "60", today())  # 240.00 less 0.01 and 0.01
    action = {"kind": "CASH_DIVIDEND", "ticker": "KO", "ex_date": today() + timedelta(days=1), "pay_date": today()}
    enter(CorporateAction(**action, amount_per_share=Decimal("0.25")), "staff 1 and 2")  # type: ignore[misc]
    apply_due()  # 6 shares
    adjust(ann, "7", "goodwill")
    adjust(ann, "-2", "error")
    withdraw(ann.id, Decimal(100))
    return ann


def test_each_kind_of_posting_has_its_counter_account(ann: Customer) -> None:
    balance = trial_balance(today())
    settles_on = calendar.settlement_date(today())
    assert {line.title: (line.debit, line.credit) for line in balance.lines} == {
        "Customers' credit balances": (None, Decimal("646.48")),
        "Bank: deposits and withdrawals": (Decimal(900), None),
        "Bank: settled trades": (None, Decimal(500)),  # the purchase settled in January
        f"Clearing: settles {settles_on:%b} {settles_on.day}, {settles_on.year}": (Decimal(240), None),
        f"Fees payable: SEC, {today():%B %Y}": (None, Decimal("0.01")),
        f"Fees payable: FINRA, {today():%B %Y}": (None, Decimal("0.01")),
        "Paying agent": (Decimal("1.50"), None),
        "Suspense: goodwill": (Decimal(7), None),
        "Errors: correction of an error of ours": (None, Decimal(2)),
    }
    assert (balance.debits, balance.credits, balance.is_zero) == (Decimal("1148.50"), Decimal("1148.50"), True)
    assert (balance.reserve, balance.bank) == (Decimal("646.48"), Decimal(400))


def backdate_postings(day: date, ids_up_to: int) -> None:
    """Move later postings up to this id to an earlier day."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE accounts_posting SET created_at = %s WHERE id <= %s AND created_at > %s",
            [f"{day}T12:00:00-05:00", ids_up_to, f"{day + timedelta(days=1)}T12:00:00-05:00"],
        )
        cursor.execute("ALTER TABLE accounts_posting ENABLE TRIGGER USER")


def last_posting_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM accounts_posting")
        return int(cursor.fetchone()[0])


def test_stored_and_computed_days_add_up_to_the_same_balance(ann: Customer) -> None:
    monday = today() - timedelta(days=9)
    backdate_postings(monday, last_posting_id())
    before = lines_of(monday)
    deposit(ann.id, Decimal(30))
    now = lines_of(today())
    assert now["Bank: deposits and withdrawals"] == Decimal(930)
    assert store_day_totals() == 9
    assert store_day_totals() == 0
    assert set(DayTotal.objects.values_list("day", flat=True)) == {monday}
    assert lines_of(monday) == before
    assert lines_of(today()) == now
    assert trial_balance(monday - timedelta(days=1)).lines == []
    backdate_postings(today() - timedelta(days=2), last_posting_id())
    assert store_day_totals() == 2
    assert lines_of(today()) == now
    assert examine(TRADES).counts["kept_totals_are_their_postings"] == 0


def test_a_stored_day_is_not_recomputed(ann: Customer) -> None:
    backdate_postings(today() - timedelta(days=9), last_posting_id())
    store_day_totals()
    with CaptureQueriesContext(connection) as captured:
        trial_balance(today() - timedelta(days=9))
    assert not [query for query in captured if "FROM accounts_posting AS posting" in query["sql"]]


def test_a_day_is_not_stored_until_its_postings_have_settlement_dates(ann: Customer) -> None:
    backdate_postings(today() - timedelta(days=9), last_posting_id())
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        cursor.execute("UPDATE accounts_posting SET settles_on = NULL WHERE kind = 'buy'")
        cursor.execute("ALTER TABLE accounts_posting ENABLE TRIGGER USER")
    assert store_day_totals() == 0
    assert trial_balance(today()).is_zero
    call_command("build_lots", stdout=StringIO())
    assert store_day_totals() > 0


def test_an_empty_trial_balance_is_valid(db: None) -> None:
    assert (trial_balance(today()).lines, trial_balance(today()).is_zero, store_day_totals()) == ([], True, 0)


def test_the_sweep_stores_day_totals(ann: Customer) -> None:
    backdate_postings(today() - timedelta(days=9), last_posting_id())
    schedule.WORK[schedule.KEEP]("")
    assert DayTotal.objects.exists()


PLANTED = [
    (
        "trial_balance_is_zero",
        "UPDATE accounts_posting SET total = total + 1 WHERE kind = 'withdrawal'",
    ),
    ("trial_balance_is_zero", """UPDATE trades_trade SET fees = '{"sec": "0.0100"}' WHERE type = 'SELL'"""),
    ("trial_balance_is_zero", "UPDATE accounts_posting SET change = change - 1 WHERE kind = 'dividend'"),
    ("kept_totals_are_their_postings", "UPDATE trades_daytotal SET amount = amount + 1 WHERE account = 'bank'"),
    ("kept_totals_are_their_postings", "DELETE FROM trades_daytotal WHERE account = 'clearing'"),
    ("kept_totals_are_their_postings", "UPDATE trades_daytotal SET day = day - 1 WHERE account = 'customers'"),
    ("kept_totals_are_their_postings", "UPDATE accounts_posting SET settles_on = settles_on + 1 WHERE kind = 'sell'"),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTED)
def test_each_rule_finds_its_violation(ann: Customer, rule: str, plant: str) -> None:
    backdate_postings(today() - timedelta(days=9), last_posting_id())
    store_day_totals()
    assert not examine(TRADES).counts[rule]
    lift_guarantees()
    with connection.cursor() as cursor:
        cursor.execute(plant)
        assert cursor.rowcount
    assert examine(TRADES).counts[rule]


def test_all_rules_hold_for_correct_books(ann: Customer) -> None:
    store_day_totals()
    assert examine(BOOKS + TRADES).violations == []


def test_the_command_prints_the_balance_and_fails_if_it_is_not_zero(ann: Customer) -> None:
    output = StringIO()
    call_command("trial_balance", "--json", stdout=output)
    sheet: dict[str, Any] = json.loads(output.getvalue())
    assert (sheet["isZero"], sheet["reserve"], sheet["day"]) == (True, "646.4800", today().isoformat())
    assert {"account": "paying_agent", "part": "", "title": "Paying agent", "debit": "1.5000", "credit": None} in sheet[
        "lines"
    ]
    output = StringIO()
    call_command("trial_balance", "--day", "2026-01-01", stdout=output)
    assert "Total" in output.getvalue()
    PostingFactory.create(customer=ann, change=1, total=5)  # a wrong running total
    with pytest.raises(SystemExit):
        call_command("trial_balance", stdout=output)
