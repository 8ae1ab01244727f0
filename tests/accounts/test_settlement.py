"""Settlement: which cash has settled by a day, and how much can be withdrawn."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.funding import InsufficientFunds, UnsettledFunds, deposit, withdraw
from accounts.models import Customer, Posting
from accounts.settlement import Cash, Unsettled, cash_of, unsettled_sales_of
from exchange import calendar
from tests.people import claim, send_report
from trades.models import Status, Trade
from trades.place import place_trade
from web.timezones import eastern_today

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def cash(amount: int, *sales: tuple[date, int], held: int = 0) -> Cash:
    return Cash(Decimal(amount), Decimal(held), [Unsettled(day, Decimal(proceeds)) for day, proceeds in sales])


def sell_today(customer: Customer, quantity: int, price: Decimal) -> Trade:
    """Place and fill a sale of AAPL today."""
    trade, _ = place_trade(customer.id, "AAPL", "SELL", quantity)
    claim(customer)
    send_report(trade, Status.FILLED, price, executedAt=f"{calendar.today()}T17:00:00.000000Z")
    claim(customer)
    trade.refresh_from_db()
    return trade


@pytest.mark.parametrize(
    ("funds", "settled", "withdrawable"),
    [
        (cash(100), 100, 100),
        (cash(100, held=30), 100, 70),
        (cash(100, (MONDAY, 40)), 60, 60),
        (cash(100, (MONDAY, 40), held=70), 60, 30),
        (cash(100, (MONDAY, 40), held=10), 60, 60),
        (cash(100, (MONDAY, 70), (TUESDAY, 70)), 0, 0),  # part of the proceeds has been spent
    ],
)
def test_settled_cash_excludes_unsettled_proceeds(funds: Cash, settled: int, withdrawable: int) -> None:
    assert (funds.settled, funds.withdrawable) == (settled, withdrawable)


@pytest.mark.parametrize(
    ("funds", "amount", "day"),
    [
        (cash(100), 100, None),
        (cash(100), 101, None),
        (cash(100, (MONDAY, 40)), 60, None),
        (cash(100, (MONDAY, 40)), 61, MONDAY),
        (cash(100, (MONDAY, 40), (TUESDAY, 40)), 60, MONDAY),
        (cash(100, (MONDAY, 40), (TUESDAY, 40)), 61, TUESDAY),
        (cash(100, (MONDAY, 70), (TUESDAY, 70)), 30, MONDAY),  # all but 30 of Monday's proceeds are spent
        (cash(100, (MONDAY, 70), (TUESDAY, 70)), 31, TUESDAY),
    ],
)
def test_the_date_on_which_an_amount_will_be_settled(funds: Cash, amount: int, day: date | None) -> None:
    assert funds.settled_from(Decimal(amount)) == day


def test_sale_proceeds_can_be_spent_immediately_and_withdrawn_later(alice: Customer) -> None:
    trade = sell_today(alice, 4, Decimal(100))
    settles_on = calendar.settlement_date(calendar.today())
    assert (trade.status, trade.trade_date, trade.settlement_date) == (Status.FILLED, calendar.today(), settles_on)
    assert set(Posting.objects.filter(cause=trade.id).values_list("settles_on", flat=True)) == {settles_on}
    now = cash_of(alice.id)
    assert (now.amount, now.unsettled, now.settled, now.withdrawable) == (1400, 400, 1000, 1000)
    assert unsettled_sales_of([alice.id], settles_on) == {}  # on that day the sale has settled
    with pytest.raises(InsufficientFunds):
        withdraw(alice.id, Decimal(1401))
    with pytest.raises(UnsettledFunds) as refused:
        withdraw(alice.id, Decimal("1000.0001"))
    assert refused.value.settles_on == settles_on
    withdraw(alice.id, Decimal(1000))
    deposit(alice.id, Decimal(5))
    withdraw(alice.id, Decimal(5))  # a deposit settles at once
    assert cash_of(alice.id).withdrawable == 0


def test_old_sales_have_settled(alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 4)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100), executedAt="2026-10-09T15:04:05.000000Z")
    claim(alice)
    trade.refresh_from_db()
    assert (trade.trade_date, trade.settlement_date) == (date(2026, 10, 9), date(2026, 10, 13))
    assert cash_of(alice.id).withdrawable == 1400


def test_the_trade_date_is_the_one_in_new_york(alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 4)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100), executedAt="2026-10-10T01:00:00.000000Z")
    claim(alice)
    trade.refresh_from_db()
    assert trade.trade_date == date(2026, 10, 9)


@pytest.mark.parametrize("time", ["2026-02-30T25:61:00Z", "2026-01-02T15:04:05", "1999-01-04T15:04:05Z", 7, []])
def test_a_fill_without_a_time_is_malformed(alice: Customer, time: Any) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 4)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100), executedAt=time)
    claim(alice)
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS
    send_report(trade, Status.FILLED, Decimal(100), executedAt=None)  # without a time, the fill is dated now
    claim(alice)
    trade.refresh_from_db()
    assert (trade.status, trade.trade_date) == (Status.FILLED, eastern_today())


def test_reading_settled_cash_takes_one_statement(alice: Customer) -> None:
    sell_today(alice, 1, Decimal(100))
    with CaptureQueriesContext(connection) as queries:
        unsettled_sales_of([alice.id], eastern_today() - timedelta(days=1))
    assert len(queries) == 1


def test_the_api_says_when_cash_can_be_withdrawn(alice: Customer, api_of: Any) -> None:
    sell_today(alice, 4, Decimal(100))
    client: Client = api_of(alice)
    settles_on = calendar.settlement_date(calendar.today())
    balance = client.get("/api/v1/balance").json()
    assert [balance[name] for name in ("available", "unsettled", "settled", "withdrawable")] == [
        "1400.0000",
        "400.0000",
        "1000.0000",
        "1000.0000",
    ]
    response = client.post("/api/v1/withdrawals", {"amount": "1001.00"}, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (409, "unsettled_funds")
    assert f"from {settles_on:%B} {settles_on.day}, {settles_on.year}" in response.json()["detail"]
    assert response.json()["errors"][0]["field"] == "amount"
    postings = client.get("/api/v1/postings").json()["results"]
    assert postings[0]["settlesOn"] == settles_on.isoformat()
    account = client.get("/alpaca/v2/account").json()
    assert (account["cash"], account["cash_withdrawable"]) == ("1400", "1000")
    assert client.get("/alpaca/v2/account/activities").json()[0]["settle_date"] == settles_on.isoformat()


def test_the_page_says_when_cash_can_be_withdrawn(alice: Customer, client: Client) -> None:
    sell_today(alice, 4, Decimal(100))
    client.force_login(alice)
    page = client.get("/cash").content.decode()
    settles_on = calendar.settlement_date(calendar.today())
    assert f"$400.00 on {settles_on:%b} {settles_on.day}." in page
    assert "$1,000.00 can be withdrawn" in page
    refused = client.post("/cash/withdraw", {"amount": "1200", "key": "0193a9a0-0000-7000-8000-000000000000"})
    assert refused.status_code == 422
    assert f"from {settles_on:%B} {settles_on.day}" in refused.content.decode()
