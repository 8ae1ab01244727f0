"""Staff pages: customers, exceptions, the daily report, staff and roles, and saved filters."""

import csv
import html
import io
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client

from accounts.funding import deposit
from accounts.models import Customer
from office import cases, daily_report
from office.cases import Finding, Kind
from office.models import AuditEntry, Case, ColumnChoice, DailyReport, SavedFilter
from office.roles import Role, appoint, roles_of
from office.sentences import sentence_of
from tests.conftest import StandInExchange
from tests.factories import AuthenticatorFactory, ProofFactory
from tests.office.conftest import signed_in
from tests.people import receive_shares
from trades.models import Trade, Type
from trades.place import place_trade
from web.timezones import eastern_today

LONG_AGO = "2020-01-01T00:00Z"


def test_a_customers_tabs_and_summary(
    browser_of: Callable[[Role], Client], alice: Customer, exchange: StandInExchange
) -> None:
    browser: Client = browser_of(Role.COMPLIANCE)
    page = f"/admin/accounts/customer/{alice.id}/change/"
    text = browser.get(page).content.decode()
    for words in ("Value", "Unrealized gain", "Cash available", "$1,000.00", "AAPL", "No open trades."):
        assert words in text, words
    for tab, words in {
        "trades": "BUY 10 AAPL", "ledger": "buy", "access": "No tokens.", "history": "Audit log", "x": "Positions",
    }.items():  # fmt: skip
        assert words.lower() in browser.get(page, {"tab": tab}).content.decode().lower(), tab


@pytest.mark.parametrize("name", ["home", "trades", "cash"])
def test_a_customers_pages_as_the_customer_sees_them(
    browser_of: Callable[[Role], Client], alice: Customer, name: str, exchange: StandInExchange
) -> None:
    response = browser_of(Role.SUPPORT).get(f"/admin/view-as/{alice.id}/", {"page": name})
    text = response.content.decode()
    assert "<iframe" in text
    assert ' sandbox="allow-same-origin" ' in text, "no scripts, no forms, no windows"
    assert "1,000.00" in text
    frame = html.unescape(text.split("srcdoc=")[1].split("</iframe>")[0])
    assert "<script" not in frame
    assert "<noscript" not in frame
    assert not re.search(r"<a [^>]*href", frame)
    assert "support@staff.example.com" not in frame
    assert AuditEntry.objects.get(action=f"view {name} as customer").customer_id == alice.id


def test_staff_cannot_be_viewed_as(
    browser_of: Callable[[Role], Client], staff: Callable[[Role], Customer], alice: Customer
) -> None:
    browser: Client = browser_of(Role.SUPPORT)
    assert browser.get(f"/admin/view-as/{staff(Role.RISK).id}/").status_code == 404
    assert browser.get("/admin/view-as/999999/").status_code == 404
    assert browser.get(f"/admin/view-as/{alice.id}/?page=tokens").status_code == 404
    assert browser.post(f"/admin/view-as/{alice.id}/").status_code == 405


def test_the_queue_shows_customers_and_amounts_and_closes_many_exceptions(
    browser_of: Callable[[Role], Client], alice: Customer
) -> None:
    trade = receive_shares(alice, "IBM", 3, Decimal("50"))
    findings = [Finding(Kind.CONTRADICTS, f"report {n}", "differs", alice.id, trade.id) for n in range(3)]
    cases.open_cases([*findings, Finding(Kind.BOOKS, "rule", "off")])
    browser: Client = browser_of(Role.OPERATIONS)
    text = browser.get("/admin/office/case/").content.decode()
    for words in (alice.email, "BUY 3 IBM", "150.00", "A report contradicts how its trade ended <strong>3</strong>"):
        assert words in text, words
    ids = list(Case.objects.filter(kind=Kind.CONTRADICTS).values_list("id", flat=True))
    selection = {"action": "close_selected", "_selected_action": [str(id) for id in ids]}
    response = browser.post("/admin/office/case/", selection)
    assert response.status_code == 302
    form_page = browser.get(response["Location"]).content.decode()
    assert ",".join(map(str, sorted(ids, reverse=True))) in form_page or ",".join(map(str, ids)) in form_page
    form_data = {"ids": ",".join(map(str, ids)), "reason": "By phone, all of them."}
    assert "3 exceptions closed." in browser.post("/admin/do/close-many/", form_data, follow=True).content.decode()
    assert list(Case.objects.filter(closed_at=None).values_list("kind", flat=True)) == ["books"]
    for invalid in ("x", "1,,2", "1;2", "", "9" * 30):
        assert browser.post("/admin/do/close-many/", form_data | {"ids": invalid}).status_code == 422


def test_an_exceptions_page_has_its_actions_beside_the_instructions(
    browser_of: Callable[[Role], Client], alice: Customer
) -> None:
    trade = Trade.objects.get()
    cases.open_cases([Finding(Kind.DIFFERS, "trade", "differs", alice.id, trade.id)])
    text = browser_of(Role.OPERATIONS).get(f"/admin/office/case/{Case.objects.get().id}/change/").content.decode()
    section = text[text.index("What to do") : text.index("What is wrong")]
    for label in ("Ask the exchange now", "Freeze withdrawals", "Request an adjustment", "Take it", "Close"):
        assert label in section, label


def test_roles_and_second_factors_are_managed_in_the_office(
    browser_of: Callable[[Role], Client], staff: Callable[[Role], Customer]
) -> None:
    admin, sam = browser_of(Role.ADMIN), staff(Role.SUPPORT)
    AuthenticatorFactory.create(user=sam)
    assert sam.email in admin.get("/admin/staff/").content.decode()
    new = {"email": "new@staff.example.com", "name": "New", "role": "risk", "reason": "Hired."}
    admin.post("/admin/do/appoint/", new)
    assert roles_of(Customer.objects.get(email="new@staff.example.com")) == {"risk"}
    admin.post(f"/admin/do/set-roles/{sam.id}/", {"roles": ["risk", "operations"], "reason": "Moved."})
    assert roles_of(Customer.objects.get(id=sam.id)) == {"risk", "operations"}
    admin.post(f"/admin/do/reset-factor/{sam.id}/", {"reason": "A lost phone."})
    assert not Authenticator.objects.filter(user=sam).exists()
    admin.post(f"/admin/do/set-roles/{sam.id}/", {"reason": "Left."})
    assert not Customer.objects.get(id=sam.id).is_staff
    entry = AuditEntry.objects.filter(action="set-roles", outcome="done").order_by("number").first()
    assert entry
    assert (entry.before or {})["roles"] == ["support"]
    assert (entry.after or {})["roles"] == ["operations", "risk"]


def test_staff_cannot_change_their_own_roles(
    browser_of: Callable[[Role], Client], staff: Callable[[Role], Customer]
) -> None:
    boss = staff(Role.ADMIN)
    browser_of(Role.ADMIN).post(f"/admin/do/set-roles/{boss.id}/", {"roles": ["risk"], "reason": "More power."})
    assert roles_of(Customer.objects.get(id=boss.id)) == {"admin"}
    for role in (Role.OPERATIONS, Role.RISK, Role.COMPLIANCE, Role.SUPPORT):
        assert browser_of(role).get("/admin/staff/").status_code == 403


def test_the_report_of_a_day_as_page_file_and_mail(
    browser_of: Callable[[Role], Client], alice: Customer, bob: Customer
) -> None:
    deposit(bob.id, Decimal("250.25"))
    receive_shares(bob, "IBM", 2, Decimal("50"))
    place_trade(bob.id, "KO", Type.BUY, 1)
    browser: Client = browser_of(Role.SUPPORT)
    figures = daily_report.figures_of(eastern_today())
    rows = dict(daily_report.rows_of(figures))
    assert rows["Trades filled"] == str(Trade.objects.filter(status="FILLED").count())
    total = sum((trade.amount or 0 for trade in Trade.objects.filter(status="FILLED")), Decimal(0))
    assert rows["Volume filled, USD"] == f"{total:,.2f}"
    assert figures["newCustomers"] == Customer.objects.count()
    assert "Volume filled, USD" in browser.get("/admin/report/").content.decode()
    text = browser.get("/admin/report/", {"format": "csv"}).content.decode()
    assert dict(csv.reader(io.StringIO(text)))["Volume filled, USD"] == f"{total:,.2f}"
    appoint("operations@staff.example.com", Role.OPERATIONS)
    assert daily_report.send_due()
    assert not daily_report.send_due()
    report = DailyReport.objects.get()
    assert report.day == eastern_today() - timedelta(days=1)
    (message,) = mail.outbox
    assert message.bcc == ["operations@staff.example.com"]
    assert "Trades placed: 0" in message.body


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31", "x", "\x00", "2026-02-30"])
def test_the_report_of_any_day(browser_of: Callable[[Role], Client], alice: Customer, day: str) -> None:
    assert browser_of(Role.SUPPORT).get("/admin/report/", {"day": day}).status_code == 200


@pytest.mark.parametrize("day", ["", "0001-01-01", "1970-01-03", "2026-01-05", "9999-12-31", "x", "\x00"])
def test_the_trial_balance_as_page_and_file(browser_of: Callable[[Role], Client], alice: Customer, day: str) -> None:
    browser: Client = browser_of(Role.RISK)
    page = browser.get("/admin/trial-balance/", {"day": day})
    assert page.status_code == 200
    assert "Customer reserve" in page.content.decode()
    rows = list(csv.reader(io.StringIO(browser.get("/admin/trial-balance/", {"format": "csv"}).content.decode())))
    assert rows[1] == ["customers", "", "Customers' credit balances", "", "1000.0000"]
    assert rows[2] == ["bank", "deposits", "Bank: deposits and withdrawals", "2000.0000", ""]


def test_filters_are_saved_and_columns_chosen(
    browser_of: Callable[[Role], Client], staff: Callable[[Role], Customer], alice: Customer
) -> None:
    browser: Client = browser_of(Role.SUPPORT)
    view = "/admin/trades/trade/view/"
    response = browser.post(view, {"name": "Apple", "query": "ticker=AAPL&after=x"})
    assert response["Location"] == "../?ticker=AAPL"
    assert SavedFilter.objects.get().query == "ticker=AAPL"
    assert '<a href="?ticker=AAPL">Apple</a>' in browser.get("/admin/trades/trade/").content.decode()
    browser.post(view, {"columns": "1", "column": ["trade", "state", "nonsense"]})
    assert ColumnChoice.objects.get().columns == ["trade", "state"]
    shown = browser.get("/admin/trades/trade/").context["cl"].list_display
    assert shown == ["trade", "state"]
    assert len(browser_of(Role.RISK).get("/admin/trades/trade/").context["cl"].list_display) > 2
    browser.post(view, {"columns": "1"})
    assert len(browser.get("/admin/trades/trade/").context["cl"].list_display) > 2
    browser.post(view, {"name": "Apple", "forget": "1"})
    assert not SavedFilter.objects.exists()
    assert browser.get(view).status_code == 403


def test_audit_entries_are_sentences_that_can_be_searched(
    browser_of: Callable[[Role], Client], alice: Customer
) -> None:
    browser_of(Role.RISK).post(f"/admin/do/freeze-trading/{alice.id}/", {"reason": "Odd sign-in."})
    entry = AuditEntry.objects.get(action="freeze-trading", outcome="done")
    assert sentence_of(entry) == "risk@staff.example.com froze the trading of alice@example.com."
    for action, sentence in (
        ("open adjust", "sam opened the form to request an adjustment for alice."),
        ("view cash as customer", "sam looked at the page “cash” as alice sees it."),
        ("see customer", "sam looked at a customer: alice."),
    ):
        assert sentence_of(AuditEntry(staff="sam", action=action, subject="alice", outcome="seen")) == sentence
    compliance: Client = browser_of(Role.COMPLIANCE)
    for query in ("alice@example.com", "risk@staff.example.com"):
        text = compliance.get("/admin/office/auditentry/", {"q": query}).content.decode()
        assert "froze the trading of alice@example.com" in text
        assert "Trading halted: no → yes" in text
    assert "froze" not in compliance.get("/admin/office/auditentry/", {"q": "nobody@example.com"}).content.decode()


def test_times_are_local_beside_utc(alice: Customer) -> None:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from django.utils import timezone

    from office.templatetags.office import when

    moment = datetime(2026, 11, 26, 2, 30, 5, tzinfo=UTC)
    with timezone.override(ZoneInfo("America/New_York")):
        assert "2026-11-26 02:30:05 <small>Nov 25 21:30 EST</small>" in when(moment)
    with timezone.override(UTC):
        assert "<small>" not in when(moment)


def test_desk_shows_that_a_proof_is_older_than_the_books(
    browser_of: Callable[[Role], Client], alice: Customer, exchange: StandInExchange
) -> None:
    ProofFactory.create(at="2020-01-01T00:00Z")
    text = browser_of(Role.OPERATIONS).get("/admin/desk/").content.decode()
    assert "not yet proven" in text
    for title in ("Volume today", "Deposits today", "Customer assets", "Active customers today", "16 lanes idle"):
        assert title in text, title


def test_signed_in_only(alice: Customer) -> None:
    for address in ("staff/", "report/", "trial-balance/", f"view-as/{alice.id}/", "trades/trade/view/"):
        assert Client().get(f"/admin/{address}").status_code == 302
        assert signed_in(alice).get(f"/admin/{address}").status_code in {302, 403}
