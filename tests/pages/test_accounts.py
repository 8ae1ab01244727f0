"""Cash, statements, profile and tokens, as pages."""

import csv
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.freezes import freeze_withdrawals
from accounts.funding import deposit
from accounts.ledger import open_books
from accounts.models import Balance, Customer, Posting, Token
from accounts.statements import LINES_A_PART, Month, NoStatement, months_of, statement_of
from exchange import calendar
from tests.factories import ClosingPriceFactory, CustomerFactory, FeeRateFactory, PostingFactory
from tests.people import claim, send_report, trade
from trades import fees
from trades.models import Status
from trades.place import place_trade
from web.timezones import eastern_today

PageOf = Callable[[Customer], Client]


def test_a_deposit_that_is_submitted_twice_is_made_once(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    for _ in range(2):
        assert client.post("/cash/deposit", {"amount": "$1,250.50", "key": "k1"}).status_code == 302
    assert Balance.objects.get(customer=bob).amount == Decimal("1750.50")


@pytest.mark.parametrize(
    "amount", ["", "ten", "-5", "0", "1.234", "1e3", "٣", "99999999999", "9" * 28, "0." + "1" * 28, "1.2.3", "NaN"]
)
@pytest.mark.parametrize("verb", ["deposit", "withdraw"])
def test_an_invalid_amount_is_explained_beside_the_field(
    verb: str, amount: str, bob: Customer, page_of: PageOf
) -> None:
    response = page_of(bob).post(f"/cash/{verb}", {"amount": amount, "key": "k1"})
    assert response.status_code == 422
    assert f'id="{verb}_amount_error"' in response.content.decode()
    assert Balance.objects.get(customer=bob).amount == 500


def test_held_cash_cannot_be_withdrawn(bob: Customer, page_of: PageOf) -> None:
    place_trade(bob.id, "AAPL", "BUY", 1)
    claim(bob)
    response = page_of(bob).post("/cash/withdraw", {"amount": "1", "key": "k1"})
    assert response.status_code == 422
    text = response.content.decode()
    assert "You can withdraw up to $0.00 now." in text
    assert "$500.00 is held for your trade in progress" in text


def test_frozen_withdrawals_are_explained_on_the_page_and_beside_the_field(
    bob: Customer, alice: Customer, page_of: PageOf
) -> None:
    assert "are frozen" not in page_of(bob).get("/cash").content.decode()
    freeze_withdrawals(bob.id, True, reason="asked by the desk", by=alice)
    html = page_of(bob).get("/cash").content.decode()
    assert "Withdrawals from your account are frozen." in html
    assert "asked by the desk" not in html
    response = page_of(bob).post("/cash/withdraw", {"amount": "1", "key": "k1"})
    assert response.status_code == 422
    error = response.content.decode().split('id="withdraw_amount_error"')[1].split("</p>")[0]
    assert "Withdrawals from your account are frozen." in error
    assert Balance.objects.get(customer=bob).amount == 500
    assert "are frozen" not in page_of(alice).get("/cash").content.decode()


def test_the_csv_has_every_posting_in_order(alice: Customer, page_of: PageOf) -> None:
    response = page_of(alice).get("/cash/ledger.csv")
    rows = list(csv.DictReader(StringIO(b"".join(response).decode())))  # type: ignore[call-overload]
    assert [(row["kind"], row["cash (USD)"], row["stock"], row["shares"]) for row in rows] == [
        ("deposit", "2000.0000", "", ""),
        ("buy", "-1000.0000", "", ""),
        ("buy", "", "AAPL", "10"),
    ]


def test_a_long_ledger_comes_in_several_files(bob: Customer, page_of: PageOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.pages.LINES_A_FILE", 3)
    for _ in range(6):
        deposit(bob.id, Decimal(1))
    page = page_of(bob).get("/cash").content.decode()
    files = [page_of(bob).get(f"/cash/ledger.csv?part={part}") for part in (1, 2, 3)]
    rows_of_files = [list(csv.DictReader(StringIO(file.content.decode()))) for file in files]
    assert [len(rows) for rows in rows_of_files] == [3, 3, 1]
    posting_ids = [int(row["posting"]) for rows in rows_of_files for row in rows]
    assert posting_ids == list(Posting.objects.filter(customer=bob).order_by("id").values_list("id", flat=True))
    for part, file in enumerate(files, start=1):
        assert f"/cash/ledger.csv?part={part}" in page
        assert f"ledger-{part}-of-3.csv" in file["Content-Disposition"]
    assert page_of(bob).get("/cash/ledger.csv?part=4").status_code == 404


def test_customers_see_only_their_own_data(alice: Customer, bob: Customer, page_of: PageOf) -> None:
    issued = tokens.issue(alice, "hers")
    page_of(bob).post(f"/account/tokens/{issued.grant.id}/end")
    assert Token.objects.filter(id=issued.grant.id).exists()
    for path in ("/", "/cash", "/trades", "/account/tokens"):
        assert b"AAPL at" not in page_of(bob).get(path).content
        assert b"hers" not in page_of(bob).get(path).content


@pytest.mark.parametrize(
    "path", ["/cash", "/trades", "/statements", "/account", "/account/tokens", "/account/webhooks", "/stocks/AAPL"]
)
def test_pages_ask_visitors_to_sign_in(path: str, db: None) -> None:
    response = Client().get(path)
    assert (response.status_code, response.headers["Location"]) == (302, f"/account/login/?next={path}")


# -- statements


def create_posting(customer: Customer, at: datetime, ticker: str, kind: str, change: int, total: int) -> None:
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
    Balance.objects.filter(customer=customer).update(amount=1150)
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
    for words, _ in statement.sums:
        assert words in page
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
        for words in ("Adjustments", "Adjustment: −2 AAPL", "Adjustment: +4 IBM"):
            assert words in html
        assert page_of(winter).get("/statements/2026-3.pdf").content.startswith(b"%PDF-")
        cash = page_of(winter).get("/cash").content.decode()
        for words in ("−2 shares of AAPL", "+4 shares of IBM", "by the brokerage"):
            assert words in cash


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


# -- profile, tokens


def test_a_theme_and_a_time_zone_are_kept(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    assert client.post("/account", {"name": "Bob", "theme": "dark", "time_zone": "Asia/Tokyo"}).status_code == 302
    page = client.get("/cash").content.decode()
    assert 'data-theme="dark"' in page
    assert "JST" in page


def test_times_are_in_the_browsers_zone_else_eastern(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    assert "E" in client.get("/cash").content.decode().split('title="')[-1].split('"')[0]
    client.cookies["zone"] = "Asia/Kolkata"
    assert " IST" in client.get("/cash").content.decode()
    client.cookies["zone"] = "../../etc/passwd"
    assert client.get("/cash").status_code == 200


@pytest.mark.parametrize(("days", "ends"), [("", None), ("30", timedelta(days=30)), ("365", timedelta(days=365))])
def test_a_token_can_have_an_expiry(days: str, ends: timedelta | None, bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    client.post("/account/tokens", {"name": "laptop", "scopes": ["read"], "days": days})
    token = Token.objects.get()
    if ends is None:
        assert token.expires_at is None
    else:
        assert token.expires_at is not None
        assert abs(token.expires_at - token.created_at - ends) < timedelta(minutes=1)
    assert ("ends " in client.get("/account/tokens").content.decode()) == bool(days)
    refused = client.post("/account/tokens", {"name": "laptop", "scopes": ["read"], "days": "9999"})
    assert refused.status_code == 422
    assert Token.objects.count() == 1


def test_a_token_is_shown_once_and_works_until_it_is_ended(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    page = client.post("/account/tokens", {"name": "laptop", "scopes": ["read"]}).content.decode()
    token = page.split("<code>")[1].split("</code>")[0]
    assert token not in client.get("/account/tokens").content.decode()
    program = Client(headers={"Authorization": f"Bearer {token}"})
    assert program.get("/api/v1/balance").status_code == 200
    assert program.post("/api/v1/deposits", {"amount": "1.00"}, "application/json").status_code == 403
    client.post(f"/account/tokens/{Token.objects.get().id}/end")
    assert program.get("/api/v1/balance").status_code == 401


# -- signing up and in


def test_signing_up_opens_an_account_with_a_balance(db: None) -> None:
    client = Client()
    form = {"name": "Eve", "email": "Eve@Example.com", "password1": "a-long-enough-phrase-7"}
    assert client.post("/account/signup/", form).status_code == 302
    customer = Customer.objects.get()
    assert (customer.email, customer.name, customer.balance.amount) == ("eve@example.com", "Eve", 0)
    assert client.get("/").status_code == 302, "the address must be confirmed first"


def test_signing_up_twice_does_not_reveal_the_account(alice: Customer) -> None:
    form = {"name": "Mallory", "email": "alice@example.com", "password1": "a-long-enough-phrase-7"}
    new = Client().post("/account/signup/", form | {"email": "new@example.com"})
    taken = Client().post("/account/signup/", form)
    assert (taken.status_code, taken.headers["Location"]) == (new.status_code, new.headers["Location"])
    assert Customer.objects.get(email="alice@example.com").name == ""
    assert "already" in mail.outbox[-1].body


def code_from_mail() -> str:
    match = re.search(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", str(mail.outbox[-1].body), re.MULTILINE)
    assert match
    return match[1]


def test_a_forgotten_password_is_replaced_with_a_code(bob: Customer) -> None:
    client = Client()
    to_code = client.post("/account/password/reset/", {"email": bob.email}).headers["Location"]
    wrong = client.post(to_code, {"code": "WRONG-1"})
    assert "Incorrect code" in wrong.content.decode()
    to_password = client.post(to_code, {"code": code_from_mail()}).headers["Location"]
    new = {"password1": "another-long-phrase-9", "password2": "another-long-phrase-9"}
    assert client.post(to_password, new).status_code == 302
    signed_in = Client().post("/account/login/", {"login": bob.email, "password": "another-long-phrase-9"})
    assert (signed_in.status_code, signed_in.headers["Location"]) == (302, "/")


def test_an_address_changes_once_the_new_one_is_confirmed(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    to_code = client.post("/account/email/", {"email": "robert@example.com", "action_add": ""}).headers["Location"]
    bob.refresh_from_db()
    assert bob.email == "bob@example.com"
    client.post(to_code, {"code": code_from_mail()})
    bob.refresh_from_db()
    assert bob.email == "robert@example.com"


def test_changing_a_password_requires_the_old_one(bob: Customer) -> None:
    bob.set_password("a-long-enough-phrase-7")
    bob.save()
    client = Client()
    client.post("/account/login/", {"login": bob.email, "password": "a-long-enough-phrase-7"})
    new = {"password1": "another-long-phrase-9", "password2": "another-long-phrase-9"}
    client.post("/account/password/change/", {"oldpassword": "not this one", **new})
    bob.refresh_from_db()
    assert bob.check_password("a-long-enough-phrase-7")
    client.post("/account/password/change/", {"oldpassword": "a-long-enough-phrase-7", **new})
    bob.refresh_from_db()
    assert bob.check_password("another-long-phrase-9")
    assert client.get("/").status_code == 200, "the session stays signed in"


def test_an_expired_form_shows_our_error_page(db: None) -> None:
    response = Client(enforce_csrf_checks=True).post("/account/login/", {})
    assert response.status_code == 403
    assert "This page was open for too long." in response.content.decode()


def test_guessing_a_password_is_throttled(alice: Customer) -> None:
    client = Client()
    responses = [client.post("/account/login/", {"login": alice.email, "password": f"guess {n}"}) for n in range(12)]
    assert responses[0].status_code == 200
    assert "Too many failed login attempts" in responses[-1].content.decode()


def test_the_back_office_uses_the_same_sign_in(db: None) -> None:
    response = Client().get("/admin/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/account/login/?next=%2Fadmin%2F")


def test_a_session_can_be_ended_from_another(bob: Customer) -> None:
    bob.set_password("a-long-enough-phrase-7")
    bob.save()
    first, second = Client(), Client()
    for client in (first, second):
        client.post("/account/login/", {"login": bob.email, "password": "a-long-enough-phrase-7"})
        assert client.get("/").status_code == 200
    second.post("/account/sessions/")
    assert second.get("/").status_code == 200
    assert first.get("/").status_code == 302


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
    for words in ("Bob Builder", "Not settled yet", "Since January, short term", settlement_date, "Regulatory fees"):
        assert words in page
    (item,) = statement.unsettled
    assert (item.ticker, item.quantity, item.change, item.settles_on) == ("KO", 1, Decimal("24.99"), sale.settles_on)
    assert not re.search(r"\$\d+\.\d{3}", page.replace("$20.0025", "")), "everything except prices is in cents"


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
