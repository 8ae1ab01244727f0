"""Statements, as pages and documents."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.ledger import open_books
from accounts.models import CASH, Balance, Customer, Position, Posting
from accounts.statements import LINES_A_PART, Month, NoStatement, months_of, statement_of
from exchange import calendar
from tests.factories import ClosingPriceFactory, CustomerFactory, FeeRateFactory, PositionFactory, PostingFactory
from tests.people import claim, receive_shares, send_report, trade
from trades import fees
from trades.models import Status
from trades.place import place_trade
from web.timezones import eastern_today

PageOf = Callable[[Customer], Client]


def create_posting(customer: Customer, at: datetime, ticker: str, kind: str, change: int, total: int) -> None:
    if ticker == CASH:
        Balance.objects.filter(customer=customer).update(amount=total)
    elif not Position.objects.filter(customer=customer, ticker=ticker).update(quantity=total):
        PositionFactory.create(customer=customer, ticker=ticker, quantity=total)
    PostingFactory.create(
        customer=customer,
        ticker=ticker,
        kind=kind,
        change=change,
        total=total,
        created_at=at,
    )


@pytest.fixture
def winter(db: None) -> Customer:
    """Create a customer with postings around the end of a month in Eastern time."""
    customer: Customer = CustomerFactory.create(email="winter@example.com")
    create_posting(customer, datetime(2025, 12, 30, 15, tzinfo=UTC), "", "deposit", 1000, 1000)
    create_posting(customer, datetime(2026, 1, 1, 4, 59, tzinfo=UTC), "AAPL", "buy", 3, 3)  # in New York still December
    create_posting(customer, datetime(2026, 1, 1, 5, 0, tzinfo=UTC), "", "deposit", 200, 1200)
    # Dated earlier than the deposit, but posted later.
    create_posting(customer, datetime(2026, 1, 1, 4, 59, tzinfo=UTC), "", "withdrawal", -50, 1150)
    return customer


@time_machine.travel("2026-03-05T12:00:00Z", tick=False)
def test_a_statement_begins_where_the_one_before_ended(winter: Customer) -> None:
    ClosingPriceFactory.create(day=date(2025, 12, 31), price=7)
    ClosingPriceFactory.create(day=date(2026, 1, 31), price=None)  # the exchange had no price
    months = months_of(winter.id)
    assert [str(month) for month in months] == ["March 2026", "February 2026", "January 2026", "December 2025"]
    statements = [statement_of(winter.id, month) for month in reversed(months)]
    assert [(statement.opening, statement.closing, statement.is_final) for statement in statements] == [
        (0, 1000, True),
        (1000, 1150, True),
        (1150, 1150, False),  # its closing price is missing
        (1150, 1150, False),
    ]
    first_shares = [statement.shares[0][1:] for statement in statements]
    assert first_shares == [(0, 3, None, 7), (3, 3, 7, None), (3, 3, None, None), (3, 3, None, None)]
    values = [(statement.opening_value, statement.closing_value) for statement in statements]
    assert values == [(0, 21), (21, None), (None, None), (None, None)]
    assert dict(statements[1].sums) == {"Deposits": 200, "Withdrawals": -50, "Shares bought": 0, "Shares sold": 0}


@time_machine.travel("2026-03-05T12:00:00Z", tick=False)
def test_the_sums_of_a_month_add_up_to_its_change_with_every_kind_of_posting(winter: Customer, page_of: PageOf) -> None:
    balance = 1150
    for number, kind in enumerate(Posting.Kind.values, 1):
        change = number if kind not in {"withdrawal", "buy", "fee"} else -number
        balance += change
        create_posting(winter, datetime(2026, 3, 4, 12, number, tzinfo=UTC), "", kind, change, balance)
    statement = statement_of(winter.id, Month(2026, 3))
    assert statement.opening + sum(amount for _, amount in statement.sums) == statement.closing == balance
    assert len(statement.sums) == len(Posting.Kind)
    page = page_of(winter).get("/statements/2026-3").content.decode()
    for label, _ in statement.sums:
        assert label in page
    for line in statement.lines:
        if line.kind not in {"buy", "sell"}:
            assert f"/trades/{line.cause}" not in page, "only a trade's line links to a trade"


def test_adjustments_are_on_the_statement_and_the_cash_page(winter: Customer, page_of: PageOf) -> None:
    with time_machine.travel("2026-03-05T12:00:00Z", tick=False):
        march = datetime(2026, 3, 4, 12, tzinfo=UTC)
        create_posting(winter, march, "", "adjustment", -25, 1125)
        create_posting(winter, march, "AAPL", "adjustment", -2, 1)
        create_posting(winter, march, "IBM", "adjustment", 4, 4)
        statement = statement_of(winter.id, Month(2026, 3))
        assert (statement.opening, dict(statement.sums)["Adjustments"], statement.closing) == (1150, -25, 1125)
        assert [row[:3] for row in statement.shares] == [("AAPL", 3, 1), ("IBM", 0, 4)]
        assert [(line.ticker, line.quantity, line.change) for line in statement.lines] == [
            ("", 0, -25), ("AAPL", -2, None), ("IBM", 4, None),
        ]  # fmt: skip
        html = page_of(winter).get("/statements/2026-3").content.decode()
        for text in ("Adjustments", "Adjustment: −2 AAPL", "Adjustment: +4 IBM"):
            assert text in html
        assert page_of(winter).get("/statements/2026-3.pdf").content.startswith(b"%PDF-")
        cash = page_of(winter).get("/cash").content.decode()
        for text in ("−2 shares of AAPL", "+4 shares of IBM", "by the brokerage"):
            assert text in cash


@time_machine.travel("2026-03-05T12:00:00Z", tick=False)
def test_there_are_no_statements_before_the_account_or_in_the_future(winter: Customer, page_of: PageOf) -> None:
    for year, month in ((2025, 11), (2026, 4)):
        with pytest.raises(NoStatement):
            statement_of(winter.id, Month(year, month))
        assert page_of(winter).get(f"/statements/{year}-{month}").status_code == 404
    assert page_of(winter).get("/statements/2026-13").status_code == 404
    assert page_of(winter).get("/statements/0-0.pdf").status_code == 404


def test_a_statements_pdf_is_the_same_bytes_at_any_time(winter: Customer, page_of: PageOf) -> None:
    with time_machine.travel("2026-02-05T12:00:00Z"):
        first = page_of(winter).get("/statements/2026-1.pdf").content
    with time_machine.travel("2029-07-01T12:00:00Z"):
        Customer.objects.filter(id=winter.id).update(time_zone="Asia/Tokyo")
        second = page_of(winter).get("/statements/2026-1.pdf").content
    assert first.startswith(b"%PDF-")
    assert first == second


def test_a_statement_shows_unsettled_trades_fees_and_gains(bob: Customer, page_of: PageOf) -> None:
    FeeRateFactory.create(kind="cat", per_usd=0, per_share="0.0000350", at="2020-01-01T00:00:00Z")
    fees.expire()
    Customer.objects.filter(id=bob.id).update(name="Bob Builder")
    bought_on = eastern_today() - timedelta(days=14)
    settled_on = calendar.settlement_date(bought_on)
    trade(bob, "BUY", 4, "20.0025", bought_on)  # 80.01 and 0.01
    sale, _ = place_trade(bob.id, "KO", "SELL", 1)
    claim(bob)
    send_report(sale, Status.FILLED, Decimal(25), executedAt=f"{eastern_today()}T17:00:00.000000Z")
    claim(bob)
    month = Month.of(timezone.now())
    statement = statement_of(bob.id, month)
    sale.refresh_from_db()
    assert statement.name == "Bob Builder"
    assert [(line.kind, line.traded_on, line.settles_on) for line in statement.lines[1:]] == [
        ("buy", bought_on, settled_on),
        ("fee", bought_on, settled_on),
        ("sell", eastern_today(), sale.settles_on),
        ("fee", eastern_today(), sale.settles_on),
    ]
    assert sum(totals.gain for totals in statement.gains.values()) == Decimal("4.9850")  # 24.99 less a quarter of 80.02
    assert statement.gains == statement.gains_of_year
    page = page_of(bob).get(f"/statements/{month.year}-{month.month}").content.decode()
    settlement_date = f"{settled_on:%b} {settled_on.day}, {settled_on.year}"
    for text in ("Bob Builder", "Not settled yet", "Since January, short term", settlement_date, "Regulatory fees"):
        assert text in page
    (item,) = statement.unsettled
    assert (item.ticker, item.quantity, item.change, item.settles_on) == ("KO", 1, Decimal("24.99"), sale.settles_on)
    assert not re.search(r"\$\d+\.\d{3}", page.replace("$20.0025", "")), "everything except prices is in cents"


def test_a_month_that_is_not_over_shows_shares_without_values(bob: Customer, page_of: PageOf) -> None:
    receive_shares(bob, "KO", 2, Decimal(20))
    month = Month.of(timezone.now())
    page = page_of(bob).get(f"/statements/{month.year}-{month.month}").content.decode()
    shares = page.partition('aria-label="Shares"')[2].partition("</table>")[0]
    assert re.findall(r"<t[hd][^>]*>([^<]*)</t", shares) == ["Stock", "At the beginning", "Now", "KO", "0", "2"]
    assert page.count("once it is over") == 1
    assert "not over" not in page


def test_a_busy_month_has_several_parts(bob: Customer, page_of: PageOf) -> None:
    with transaction.atomic():
        books = open_books([bob.id])
        for _ in range(LINES_A_PART):
            books[bob.id].move_cash("deposit", uuid4(), Decimal(1))
        books.write()
    month = Month.of(timezone.now())
    first, second = statement_of(bob.id, month), statement_of(bob.id, month, 2)
    assert (first.parts, len(first.lines), len(second.lines)) == (2, LINES_A_PART, 1)
    assert first.lines[-1].balance + 1 == second.lines[0].balance == second.closing  # type: ignore[operator]
    assert first.sums == second.sums
    assert dict(first.sums)["Deposits"] == 500 + LINES_A_PART
    address = f"/statements/{month.year}-{month.month}"
    assert "Part 2 of 2" in page_of(bob).get(f"{address}?part=2").content.decode()
    assert page_of(bob).get(f"{address}.pdf?part=2").content.startswith(b"%PDF-")
    for nonsense in ("0", "3", "-1", "x", "²", "9" * 30):
        assert page_of(bob).get(f"{address}?part={nonsense}").status_code == 404


@time_machine.travel("2026-03-05T12:00:00Z", tick=False)
def test_the_newest_statement_reads_no_more_postings_after_years(winter: Customer) -> None:
    def rows_read(customer: Customer) -> int:
        with CaptureQueriesContext(connection) as queries:
            statement_of(customer.id, Month(2026, 3))
        asked = [query["sql"] for query in queries if "accounts_posting" in query["sql"]]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            total = 0
            for sql in asked:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
                total += _rows_of_postings(cursor.fetchone()[0][0]["Plan"])
        return total

    old: Customer = CustomerFactory.create(email="old@example.com")
    for number in range(300):
        at = datetime(2025, 12, 1, 12, tzinfo=UTC) + timedelta(hours=number)
        create_posting(old, at, "", "deposit", 1, number + 1)
    create_posting(old, datetime(2026, 3, 4, 12, tzinfo=UTC), "", "deposit", 5, 305)
    create_posting(winter, datetime(2026, 3, 4, 12, tzinfo=UTC), "", "deposit", 5, 1155)
    assert 0 < rows_read(old) <= rows_read(winter)


def _rows_of_postings(plan: dict[str, Any]) -> int:
    """Return how many postings the nodes of a plan have read, whether they kept them or not."""
    own = 0
    if plan.get("Relation Name") == "accounts_posting":
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return round(own) + sum(_rows_of_postings(part) for part in plan.get("Plans", []))
