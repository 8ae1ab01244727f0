"""Cash, profile and tokens, as pages."""

import csv
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core import mail
from django.test import Client

from accounts import tokens
from accounts.freezes import freeze_withdrawals
from accounts.funding import deposit
from accounts.models import Balance, Customer, Posting, Token
from tests.factories import FeeRateFactory
from tests.people import claim, receive_shares
from tests.races.concurrency import rows as rows_of
from trades import fees
from trades.place import place_trade

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


def test_the_csv_is_in_order_when_the_ids_get_another_digit(bob: Customer, page_of: PageOf) -> None:
    newest = Posting.objects.order_by("-id").values_list("id", flat=True)[0]
    rows_of("SELECT setval(pg_get_serial_sequence('accounts_posting', 'id'), %s)", 10 ** len(str(newest)) - 3)
    for dollars in range(1, 6):
        deposit(bob.id, Decimal(dollars))
    lines = csv.DictReader(StringIO(page_of(bob).get("/cash/ledger.csv").content.decode()))
    assert [line["cash (USD)"] for line in lines] == [f"{dollars}.0000" for dollars in (500, 1, 2, 3, 4, 5)]


def test_a_fee_is_a_line_of_its_own(alice: Customer, page_of: PageOf) -> None:
    FeeRateFactory.create(kind="cat", per_usd=0, per_share="0.0100000", at="2020-01-01T00:00:00Z")
    fees.expire()
    receive_shares(alice, "KO", 2, Decimal(20))
    html = page_of(alice).get("/cash").content.decode()
    assert html.count("Bought 2 KO") == 1
    assert html.count("Regulatory fees") == 1
    assert "at —" not in html


def test_a_purchase_is_not_red(alice: Customer, page_of: PageOf) -> None:
    deposited, bought = 'how-much gain">+$2,000.00<', 'how-much ">−$1,000.00<'
    html = page_of(alice).get("/cash").content.decode()
    assert deposited in html
    assert bought in html
    assert 'how-much ">−$1,000.00<' in page_of(alice).get("/trades").content.decode()


def test_a_long_ledger_comes_in_several_files(bob: Customer, page_of: PageOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.pages.LINES_A_FILE", 3)
    for _ in range(6):
        deposit(bob.id, Decimal(1))
    assert b'href="/cash/ledger"' in page_of(bob).get("/cash").content
    page = page_of(bob).get("/cash/ledger").content.decode()
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
    assert page.count("data-copy") == 3, "token, key id and secret key can be copied"
    assert token not in client.get("/account/tokens").content.decode()
    program = Client(headers={"Authorization": f"Bearer {token}"})
    assert program.get("/api/v1/balance").status_code == 200
    assert program.post("/api/v1/deposits", {"amount": "1.00"}, "application/json").status_code == 403
    client.post(f"/account/tokens/{Token.objects.get().id}/end")
    assert program.get("/api/v1/balance").status_code == 401


# -- signing up and in


def test_signing_up_opens_an_account_with_a_balance(db: None) -> None:
    client = Client()
    assert "At least 8 characters, and hard to guess" in client.get("/account/signup/").content.decode()
    form = {"name": "Eve", "email": "Eve@Example.com", "password1": "a-long-enough-phrase-7"}
    assert client.post("/account/signup/", form).status_code == 302
    customer = Customer.objects.get()
    assert (customer.email, customer.name, customer.balance.amount) == ("eve@example.com", "Eve", 0)
    assert client.get("/").status_code == 302, "the address must be confirmed first"


def test_signing_up_twice_does_not_reveal_the_account(alice: Customer) -> None:
    form = {"name": "Mallory", "email": "alice@example.com", "password1": "a-long-enough-phrase-7"}
    new = Client().post("/account/signup/", form | {"email": "new@example.com"})
    response = Client().post("/account/signup/", form)
    assert (response.status_code, response.headers["Location"]) == (new.status_code, new.headers["Location"])
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
