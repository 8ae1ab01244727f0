"""Personal data: downloading it, closing the account, and erasing it."""

import json
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.conf import settings
from django.core import mail
from django.test import Client

from accounts import personal_data, tokens
from accounts.closing import AccountNotEmpty, close_account
from accounts.customers import create_customer
from accounts.funding import AccountClosed, deposit, withdraw
from accounts.models import Balance, Customer, Posting
from accounts.personal_data import AccountStillOpen, erase_personal_data
from office.models import AuditEntry, Proposal
from office.roles import Role, appoint
from tests.office.conftest import signed_in
from tests.people import open_account
from tests.races.concurrency import together
from trades.audit import audit_books
from webhooks import subscriptions
from webhooks.models import Webhook

pytestmark = pytest.mark.usefixtures("static_files")
PASSWORD = "copper lantern drifts 41"


@pytest.fixture
def carol(db: None) -> Customer:
    """Return a customer with an empty account, a token and a webhook."""
    carol = create_customer("carol@example.com", PASSWORD, name="Carol Danvers")
    tokens.issue(carol, "robot")
    subscriptions.create(carol.id, "https://93.184.216.34/carol")
    return carol


def browser_of(customer: Customer, path: str) -> Client:
    """Return a browser that is signed in and has recently confirmed the password, as sensitive pages require."""
    browser = Client()
    browser.post("/account/login/", {"login": customer.email, "password": PASSWORD})
    browser.post(f"/account/reauthenticate/?next={path}", {"password": PASSWORD})
    return browser


def everything_about(customer: Customer) -> dict[str, list[dict[str, str]]]:
    data = json.loads(personal_data.part_of(customer.id, 1, personal_data.parts_of(customer.id)))
    assert (data.pop("part"), data.pop("parts")) == (1, 1)
    return data


# -- the download


def test_the_download_contains_all_data_and_no_secret(alice: Customer) -> None:
    issued = tokens.issue(alice, "robot")
    webhook, _ = subscriptions.create(alice.id, "https://93.184.216.34/alice")
    data = everything_about(alice)
    assert data["profile"][0]["email"] == "alice@example.com"
    assert [(row["ticker"], row["type"], row["quantity"]) for row in data["trades"]] == [("AAPL", "BUY", 10)]
    assert [row["to_status"] for row in data["statusChanges"]] == ["PLACED", "IN PROGRESS", "FILLED"]
    assert [row["kind"] for row in data["postings"]] == ["deposit", "buy", "buy"]
    assert [row["name"] for row in data["tokens"]] == ["robot"]
    assert [row["url"] for row in data["webhooks"]] == ["https://93.184.216.34/alice"]
    text = json.dumps(data)
    for secret in (issued.token, issued.grant.token_hash, issued.grant.secret_hash, webhook.encrypted_secret):
        assert secret not in text
    assert "argon2" not in text


def test_the_download_contains_no_other_customers_data(alice: Customer, bob: Customer) -> None:
    text = json.dumps(everything_about(bob))
    assert "alice" not in text
    assert "AAPL" not in text


def test_every_table_about_customers_is_downloaded_or_listed_as_an_exception(alice: Customer) -> None:
    """A new table can't be forgotten in the download."""
    downloaded = {rows.model for name in settings.PERSONAL_DATA for rows in _sections_of(name, alice)}
    excepted = {
        # internal counters, and figures that follow from other tables in the download
        *("Balance", "TradeCounter", "TradeMail", "Report", "Delivery", "StaffReport", "Group", "EmailConfirmation"),
        "Limits",
        # data that staff may not disclose
        *("Freeze", "TradingControl", "Note", "Case", "Proposal", "LogEntry"),
        # settings of members of staff
        *("SavedFilter", "ColumnChoice"),
    }
    with_customer = {
        model
        for model in apps.get_models()
        if any(field.is_relation and field.related_model is Customer for field in model._meta.concrete_fields)
    }
    assert {model.__name__ for model in with_customer - downloaded} <= excepted


def _sections_of(name: str, customer: Customer) -> Any:
    module = import_module(name)
    return module.sections(customer.id).values()


def test_a_long_history_comes_in_parts(alice: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "ROWS_A_PART", 2)
    parts = personal_data.parts_of(alice.id)
    contents = [json.loads(personal_data.part_of(alice.id, part, parts)) for part in range(1, parts + 1)]
    posting_ids = [row["id"] for part in contents for row in part["postings"]]
    assert posting_ids == list(Posting.objects.filter(customer=alice).order_by("id").values_list("id", flat=True))


def test_the_page_asks_to_confirm_the_password(carol: Customer) -> None:
    browser = Client()
    browser.post("/account/login/", {"login": carol.email, "password": PASSWORD})
    assert browser.get("/account/data").status_code == 200
    assert "/account/reauthenticate/" in browser.get("/account/data.json")["Location"]
    browser = browser_of(carol, "/account/data.json")
    response = browser.get("/account/data.json")
    assert response["Content-Disposition"] == 'attachment; filename="my-data.json"'
    assert response.json()["profile"][0]["name"] == "Carol Danvers"
    for part in ("0", "2", "-1", "x", "99999999", "\x00"):
        assert browser.get("/account/data.json", {"part": part}).status_code == 404


# -- closing


def test_an_account_with_cash_or_shares_stays_open(alice: Customer) -> None:
    with pytest.raises(AccountNotEmpty):
        close_account(alice)
    withdraw(alice.id, Balance.objects.get(customer=alice).available)
    with pytest.raises(AccountNotEmpty):
        close_account(alice)


@pytest.mark.django_db(transaction=True)
def test_closing_ends_all_access_and_is_confirmed(carol: Customer) -> None:
    browser, other_browser = browser_of(carol, "/account/close"), browser_of(carol, "/")
    token = tokens.issue(carol, "another").token
    assert "This can't be undone." in browser.get("/account/close").content.decode()
    response = browser.post("/account/close", follow=True)
    assert "Your account is closed" in response.content.decode()
    assert other_browser.get("/").status_code == 302
    assert Client(headers={"Authorization": f"Bearer {token}"}).get("/api/v1/balance").status_code == 401
    new_browser = Client()
    new_browser.post("/account/login/", {"login": carol.email, "password": PASSWORD})
    assert new_browser.get("/").status_code == 302
    assert "Your account is closed" in [message.subject for message in mail.outbox]
    mails = len(mail.outbox)
    close_account(carol)
    assert len(mail.outbox) == mails, "a second call sends no mail"
    with pytest.raises(AccountClosed):
        deposit(carol.id, Decimal(1))
    assert audit_books().findings.ok


def test_the_page_lists_the_remaining_cash_and_shares(alice: Customer) -> None:
    alice.set_password(PASSWORD)
    alice.save()
    browser = browser_of(alice, "/account/close")
    page = browser.get("/account/close").content.decode()
    assert "10 shares of AAPL" in page
    assert "$1,000.00" in page
    assert browser.post("/account/close").status_code == 409
    alice.refresh_from_db()
    assert alice.is_active


@pytest.mark.django_db(transaction=True)
def test_a_deposit_during_the_closing_either_prevents_it_or_is_refused() -> None:
    for number in range(10):
        customer = create_customer(f"c{number}@example.com", None)

        def make_deposit(customer: Customer = customer) -> str:
            try:
                deposit(customer.id, Decimal(5))
            except AccountClosed:
                return "refused"
            return "deposited"

        def close(customer: Customer = customer) -> str:
            try:
                close_account(customer)
            except AccountNotEmpty:
                return "open"
            return "closed"

        assert set(together(make_deposit, close)) in ({"deposited", "open"}, {"refused", "closed"})


# -- erasure


def test_only_a_closed_account_is_erased(carol: Customer) -> None:
    with pytest.raises(AccountStillOpen):
        erase_personal_data(carol.id)


@pytest.mark.django_db(transaction=True)
def test_erasure_leaves_the_books_and_nothing_else(alice: Customer, bob: Customer) -> None:
    subscriptions.create(bob.id, "https://93.184.216.34/bob")
    withdraw(bob.id, Balance.objects.get(customer=bob).available)
    before = list(Posting.objects.filter(customer=bob).order_by("id").values())
    close_account(bob)
    for _ in range(2):
        erase_personal_data(bob.id)
    bob.refresh_from_db()
    assert (bob.email, bob.name) == (f"erased-{bob.id}@erased.invalid", "")
    assert bob.erased_at
    assert not bob.has_usable_password()
    assert "bob@" not in json.dumps(everything_about(bob))
    assert not EmailAddress.objects.filter(user=bob).exists()
    assert not Webhook.objects.filter(customer=bob).exists()
    assert list(Posting.objects.filter(customer=bob).order_by("id").values()) == before
    assert audit_books().findings.ok
    assert open_account("bob@example.com", Decimal(1)).id != bob.id, "the address is free again"


def test_two_members_of_staff_erase_only_closed_accounts(carol: Customer) -> None:
    first = signed_in(appoint("first@staff.example.com", Role.OPERATIONS))
    second = signed_in(appoint("second@staff.example.com", Role.RISK))
    customer_page = f"/admin/accounts/customer/{carol.id}/change/"
    assert "Erase personal data" not in first.get(customer_page).content.decode()
    close_account(carol)
    assert "Erase personal data" in first.get(customer_page).content.decode()
    first.post(f"/admin/do/erase-personal-data/{carol.id}/", {"reason": "asked for it by letter"})
    proposal = Proposal.objects.get()
    first.post(f"/admin/do/approve-proposal/{proposal.id}/")
    carol.refresh_from_db()
    assert carol.erased_at is None
    second.post(f"/admin/do/approve-proposal/{proposal.id}/")
    carol.refresh_from_db()
    assert carol.erased_at
    assert "Erase personal data" not in second.get(customer_page).content.decode()
    assert AuditEntry.objects.filter(action="erase-personal-data", outcome="done").exists()
