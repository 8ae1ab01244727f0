"""Fees: how they are computed, posted and shown."""

import threading
import time
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts.audit import BOOKS, examine
from accounts.gains import gains_of, open_lots_of, totals_of
from accounts.models import Balance, Customer, LotClosing, Posting
from office.actions.forms import FeeRateForm
from tests.factories import FeeRateFactory
from tests.people import claim, open_account, send_report
from trades import corporate_actions, fees
from trades.audit import TRADES
from trades.models import CorporateAction, FeeRate, Status, Trade
from trades.place import place_trade
from trades.trial_balance import trial_balance
from web.timezones import eastern_today

DAY = date(2026, 3, 2)


@pytest.fixture(autouse=True)
def _no_cached_schedule(db: None) -> Any:
    """Clear the cached fee schedule."""
    fees.expire()
    yield
    fees.expire()


@pytest.fixture
def rates(db: None) -> None:
    """Create the rates of the SEC, of FINRA with its maximum, and of the consolidated audit trail."""
    long_ago = {"at": "2020-01-01T00:00:00Z"}
    FeeRateFactory.create(**long_ago)
    FeeRateFactory.create(kind="taf", per_usd=0, per_share=Decimal("0.000166"), maximum=Decimal("8.30"), **long_ago)
    FeeRateFactory.create(kind="cat", per_usd=0, per_share=Decimal("0.000035"), **long_ago)


def fill(customer: Customer, type: str, quantity: int, price: str, day: str, ticker: str = "KO") -> Trade:
    trade, _ = place_trade(customer.id, ticker, type, quantity)
    claim(customer)
    send_report(trade, Status.FILLED, Decimal(price), executedAt=f"{day}T15:04:05.000000Z")
    claim(customer)
    trade.refresh_from_db()
    assert trade.status == Status.FILLED
    return trade


def fees_due(type: str, quantity: int, amount: str, day: date = DAY, fee_max: str = "1000000") -> dict[str, str]:
    return {
        kind: str(fee) for kind, fee in fees.fees_of(type, quantity, Decimal(amount), day, Decimal(fee_max)).items()
    }


def test_each_fee_is_rounded_up_to_the_cent(rates: None) -> None:
    assert fees_due("SELL", 1, "0.0100") == {"sec": "0.01", "taf": "0.01", "cat": "0.01"}
    assert fees_due("SELL", 1000, "100000") == {"sec": "2.78", "taf": "0.17", "cat": "0.04"}
    assert fees_due("SELL", 1000, "100000.0001") == {"sec": "2.79", "taf": "0.17", "cat": "0.04"}


def test_purchases_pay_for_the_audit_trail_alone(rates: None) -> None:
    assert fees_due("BUY", 1000, "100000") == {"cat": "0.04"}


def test_fees_are_limited_by_their_maximum_and_by_the_cash(rates: None) -> None:
    assert fees_due("SELL", 50_000, "50")["taf"] == "8.30"
    assert fees_due("SELL", 100_000, "10", fee_max="0.0100") == {"sec": "0.01"}
    assert fees_due("BUY", 1000, "10", fee_max="0") == {}


def test_the_rate_of_the_trade_date_applies(rates: None) -> None:
    FeeRateFactory.create(first_day=date(2026, 6, 1), last_day=date(2026, 6, 30), per_usd=0)
    fees.expire()
    assert "sec" in fees_due("SELL", 1, "100", date(2026, 5, 31))
    assert "sec" not in fees_due("SELL", 1, "100", date(2026, 6, 30))
    assert "sec" in fees_due("SELL", 1, "100", date(2026, 7, 1))
    assert fees_due("SELL", 1, "100", date(2025, 12, 31)) == {}


def test_a_sales_fees_are_posted_with_it(bob: Customer, rates: None) -> None:
    fill(bob, "BUY", 10, "20", "2026-03-02")
    sale = fill(bob, "SELL", 10, "25", "2026-03-03")
    assert (sale.fees, sale.fee, sale.net_amount) == (
        {"sec": "0.0100", "taf": "0.0100", "cat": "0.0100"},
        Decimal("0.03"),
        Decimal("249.97"),
    )
    fee = Posting.objects.get(cause=sale.id, kind="fee")
    assert (fee.change, fee.ticker, fee.settles_on) == (Decimal("-0.03"), "", sale.settles_on)
    closing = LotClosing.objects.get(cause=sale.id)
    assert (closing.cost, closing.proceeds, closing.gain) == (Decimal("200.01"), Decimal("249.97"), Decimal("49.96"))
    assert Balance.objects.get(customer=bob).amount == Decimal("549.96")
    assert examine(BOOKS + TRADES).violations == []


def test_a_sale_worth_less_than_its_fees_nets_zero(bob: Customer, rates: None) -> None:
    fill(bob, "BUY", 1, "20", "2026-03-02")
    sale = fill(bob, "SELL", 1, "0.0150", "2026-03-03")
    assert (sale.fee, sale.net_amount) == (Decimal("0.0150"), 0)
    assert examine(BOOKS + TRADES).violations == []


def test_a_purchase_that_takes_all_cash_pays_no_fee(bob: Customer, rates: None) -> None:
    purchase = fill(bob, "BUY", 1, "500", "2026-03-02")
    assert (purchase.fee, Balance.objects.get(customer=bob).amount) == (0, 0)
    assert examine(BOOKS + TRADES).violations == []


def test_fees_are_shown_in_the_schedule_the_trade_and_the_activities(bob: Customer, rates: None, api_of: Any) -> None:
    purchase = fill(bob, "BUY", 10, "20", "2026-03-02")
    api: Client = api_of(bob)
    trade = api.get(f"/api/v1/trades/{purchase.id}").json()
    assert (trade["fees"], trade["netAmount"]) == ("0.0100", "200.0100")
    schedule = api.get("/api/v1/fees").json()["results"]
    assert [(rate["kind"], rate["from"], rate["until"], rate["onPurchases"]) for rate in schedule] == [
        ("cat", "2026-01-01", None, True),
        ("taf", "2026-01-01", None, False),
        ("sec", "2026-01-01", None, False),
    ]
    assert schedule[2]["perUsd"] == "0.000027800000"
    fee_activities = api.get("/alpaca/v2/account/activities/FEE").json()
    assert [(activity["activity_type"], activity["net_amount"]) for activity in fee_activities] == [("FEE", "-0.01")]
    first_page = api.get("/alpaca/v2/account/activities?page_size=2").json()
    assert [activity["activity_type"] for activity in first_page] == ["FEE", "FILL"]
    assert first_page[0]["id"] != first_page[1]["id"]
    next_page = api.get(f"/alpaca/v2/account/activities?page_size=1&page_token={first_page[0]['id']}").json()
    assert next_page == [first_page[1]]


def test_a_rate_can_begin_on_the_day_after_it_is_entered_at_the_earliest() -> None:
    data = {"kind": "sec", "per_usd": "0.0000278", "per_share": "0", "reason": "a notice"}
    today = eastern_today()
    assert not FeeRateForm(data | {"first_day": today.isoformat()}).is_valid()
    tomorrow = FeeRateForm(data | {"first_day": (today + timedelta(days=1)).isoformat()})
    assert tomorrow.is_valid(), tomorrow.errors


def test_the_example_schedule_has_the_published_rates_and_names_their_sources() -> None:
    for _ in range(2):
        call_command("load_fee_rates", stdout=StringIO())
    assert FeeRate.objects.count() == 7, "loading the rates again must add none"
    assert all(rate.source.startswith("EXAMPLE") for rate in FeeRate.objects.all())
    fees_by_day = {  # for 100,000 shares sold at 10 USD
        date(2024, 5, 21): {"taf": "8.3000"},
        date(2024, 5, 22): {"sec": "27.80", "taf": "8.3000"},
        date(2025, 5, 13): {"sec": "27.80", "taf": "8.3000"},
        date(2025, 5, 14): {"taf": "8.3000"},
        date(2026, 1, 1): {"taf": "9.7900"},
        date(2026, 4, 3): {"taf": "9.7900"},
        date(2026, 4, 4): {"sec": "20.60", "taf": "9.7900"},
        date(2026, 9, 30): {"sec": "20.60", "taf": "9.7900"},
        date(2026, 10, 1): {"sec": "20.60"},
        date(2026, 12, 31): {"sec": "20.60"},
        date(2027, 1, 1): {"sec": "20.60", "taf": "9.7900"},
    }
    for day, expected in fees_by_day.items():
        charged = fees_due("SELL", 100_000, "1000000", day)
        assert {kind: Decimal(fee) for kind, fee in charged.items()} == {
            kind: Decimal(fee) for kind, fee in expected.items()
        }, day
        assert fees_due("BUY", 100_000, "1000000", day) == {}


def test_customers_see_the_example_schedule(alice: Customer, api_of: Any) -> None:
    call_command("load_fee_rates", stdout=StringIO())
    rates = api_of(alice).get("/api/v1/fees").json()["results"]
    (sec,) = [rate for rate in rates if (rate["kind"], rate["until"]) == ("sec", None)]
    assert (sec["from"], Decimal(sec["perUsd"])) == ("2026-04-04", Decimal("0.0000206"))


@pytest.mark.django_db(transaction=True)
def test_a_thread_waits_while_another_reads_the_schedule(request: pytest.FixtureRequest) -> None:
    assert fees_due("SELL", 1, "0.0100") == {}
    request.getfixturevalue("rates")
    fees.expire()
    is_reading = threading.Event()

    def delay_statement(execute: Any, *statement: Any) -> Any:
        is_reading.set()
        time.sleep(0.2)
        return execute(*statement)

    def read_schedule() -> None:
        with connection.execute_wrapper(delay_statement):
            fees.schedule()
        connection.close()

    reader = threading.Thread(target=read_schedule)
    reader.start()
    is_reading.wait(5)
    assert fees_due("SELL", 1, "0.0100"), "no trade may be settled without fees in the meantime"
    reader.join()


def apply_action(**terms: Any) -> None:
    """Enter a corporate action and apply it to the current holders."""
    action = corporate_actions.enter(CorporateAction(**terms), "staff 1 and 2")
    while corporate_actions.apply_due():
        continue
    action.refresh_from_db()
    assert action.state == CorporateAction.State.DONE


def test_a_year_of_trading_matches_figures_calculated_by_hand(rates: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve trades, two dividends and a split."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)
    today, long_ago = eastern_today(), date(2026, 7, 7)
    tomorrow = today + timedelta(days=1)
    ann = open_account("ann@example.com", Decimal(10_000))
    fill(ann, "BUY", 10, "100", "2026-01-05", "IBM")  # 1,000.00 + 0.01
    fill(ann, "BUY", 5, "120", "2026-02-02", "IBM")  # 600.00 + 0.01
    fill(ann, "BUY", 50, "60", "2026-02-03", "KO")  # 3,000.00 + 0.01
    fill(ann, "SELL", 12, "130", "2026-03-02", "IBM")  # 1,560.00 - 0.05 - 0.01 - 0.01
    apply_action(
        kind="CASH_DIVIDEND", ticker="KO", amount_per_share=Decimal("0.46"), ex_date=tomorrow, pay_date=today
    )  # 50
    fill(ann, "SELL", 20, "55", "2026-03-16", "KO")  # 1,100.00 - 0.04 - 0.01 - 0.01
    fill(ann, "BUY", 20, "50", "2026-04-01", "KO")  # 1,000.00 + 0.01, within 30 days: the loss is a wash sale
    fill(ann, "BUY", 400, "2.50", "2026-05-04", "GE")  # 1,000.00 + 0.02
    fill(ann, "SELL", 400, "3.00", "2026-06-01", "GE")  # 1,200.00 - 0.04 - 0.07 - 0.02
    fill(ann, "SELL", 40, "65", "2026-07-06", "KO")  # 2,600.00 - 0.08 - 0.01 - 0.01
    # Three shares become four; half a share is paid in cash, at 80.00 per share.
    apply_action(kind="SPLIT", ticker="IBM", ex_date=long_ago, numerator=3, denominator=2, reference_price=Decimal(80))
    fill(ann, "BUY", 1, "200", "2026-08-03", "IBM")  # 200.00 + 0.01
    fill(ann, "SELL", 3, "90", "2026-09-01", "IBM")  # 270.00 - 0.01 - 0.01 - 0.01
    apply_action(
        kind="CASH_DIVIDEND", ticker="IBM", amount_per_share=Decimal("1.05"), ex_date=tomorrow, pay_date=today
    )  # 2
    fill(ann, "SELL", 10, "70", "2026-10-09", "KO")  # 700.00 - 0.02 - 0.01 - 0.01; settles on October 13
    # Bought 6,800.00, sold 7,430.00; fees 0.07 and 0.07 + 0.06 + 0.13 + 0.10 + 0.03 + 0.04.
    # Dividends 23.00 and 2.10; cash in lieu 40.00.
    assert Balance.objects.get(customer=ann).amount == Decimal("10694.60")
    # IBM: 12 at 1,559.93, cost 1,000.01 and 2/5 of 600.01; 3 at 269.97, cost 3/4 of 3/5 of 600.01.
    # KO: 20 at 1,099.94, cost 2/5 of 3,000.01; 30 and 10 of 40 at 2,599.90, cost 3/5 of it and half of 1,000.01;
    #     10 at 699.96, cost the other half. GE: 400 at 1,199.87, cost 1,000.02.
    gains = {
        (closing.ticker, closing.closed_on.isoformat(), closing.quantity): (
            closing.proceeds,
            closing.cost,
            closing.gain,
        )
        for closing in gains_of(ann.id, 2026)
    }
    assert gains == {
        ("IBM", "2026-03-02", 10): (Decimal("1299.9417"), Decimal("1000.0100"), Decimal("299.9317")),
        ("IBM", "2026-03-02", 2): (Decimal("259.9883"), Decimal("240.0040"), Decimal("19.9843")),
        ("KO", "2026-03-16", 20): (Decimal("1099.9400"), Decimal("1200.0040"), Decimal("-100.0640")),
        ("GE", "2026-06-01", 400): (Decimal("1199.8700"), Decimal("1000.0200"), Decimal("199.8500")),
        ("KO", "2026-07-06", 30): (Decimal("1949.9250"), Decimal("1800.0060"), Decimal("149.9190")),
        ("KO", "2026-07-06", 10): (Decimal("649.9750"), Decimal("500.0050"), Decimal("149.9700")),
        ("IBM", "2026-09-01", 3): (Decimal("269.9700"), Decimal("270.0045"), Decimal("-0.0345")),
        ("KO", "2026-10-09", 10): (Decimal("699.9600"), Decimal("500.0050"), Decimal("199.9550")),
    }
    short_term, long_term = totals_of(gains_of(ann.id, 2026))[False], totals_of(gains_of(ann.id, 2026))[True]
    assert (short_term.proceeds, short_term.cost, short_term.gain) == (
        Decimal("7429.57"),
        Decimal("6510.0585"),
        Decimal("919.5115"),
    )
    assert long_term.gain == 0
    wash_sales = {
        (closing.ticker, closing.closed_on.isoformat()) for closing in gains_of(ann.id, 2026) if closing.is_wash_sale
    }
    assert wash_sales == {("KO", "2026-03-16"), ("IBM", "2026-09-01")}  # IBM was bought on August 3
    lots = [(lot.ticker, lot.remaining, lot.remaining_cost) for lot in open_lots_of(ann.id)]
    assert lots == [("IBM", 1, Decimal("90.0015")), ("IBM", 1, Decimal("200.01"))]
    assert [lot.acquired_on.isoformat() for lot in open_lots_of(ann.id)] == ["2026-02-02", "2026-08-03"]
    receivable = [line.amount for line in trial_balance(today).lines if line.account == "paying_agent"]
    assert receivable == [Decimal("65.10")]
    assert Trade.objects.get(customer=ann, sequence=12).settlement_date == date(2026, 10, 13)
    assert examine(BOOKS + TRADES).violations == []
