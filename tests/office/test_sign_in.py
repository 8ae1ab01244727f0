"""Staff sign-in: second factor, short sessions, and throttled guesses."""

import time
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.test import Client

from accounts.models import Customer
from office import access
from office.models import AuditEntry
from office.roles import Role, appoint
from tests.office.conftest import signed_in
from tests.people import totp_code
from trades.controls import rules

PASSWORD = "correct horse battery"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def sam(db: None) -> Customer:
    cache.clear()
    return appoint("sam@staff.example.com", Role.SUPPORT, password=PASSWORD)


def enter_password(browser: Client, password: str = PASSWORD, **more: Any) -> Any:
    form = {"login": "sam@staff.example.com", "password": password}
    return browser.post("/account/login/?next=/admin/", form, **more)


def test_password_and_code(sam: Customer) -> None:
    TOTP.activate(sam, SECRET)
    browser = Client()
    assert browser.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/account/login/")
    assert "second-factor/authenticate" in enter_password(browser)["Location"]
    assert browser.get("/admin/").status_code == 302
    wrong = browser.post("/account/second-factor/authenticate/", {"code": "000000"})
    assert wrong.status_code == 200
    assert browser.get("/admin/").status_code == 302
    browser.post("/account/second-factor/authenticate/", {"code": totp_code(SECRET)})
    assert browser.get("/admin/").status_code == 200
    entries = AuditEntry.objects.filter(staff=sam.email, action__startswith="sign").order_by("number")
    assert [(entry.outcome, entry.reason) for entry in entries] == [("refused", "wrong code"), ("done", "signed in")]
    browser.post("/account/logout/")
    assert AuditEntry.objects.get(staff=sam.email, action="sign out").reason == "session ended"


@pytest.mark.django_db(transaction=True)
def test_without_a_second_factor_one_is_set_up_first(sam: Customer) -> None:
    browser = Client()
    enter_password(browser)
    response = browser.get("/admin/", follow=True)
    # Changing the way to sign in requires the password again.
    address = response.redirect_chain[-1][0]
    assert address.startswith("/account/reauthenticate/")
    response = browser.post(address, {"password": PASSWORD}, follow=True)
    assert "/second-factor/totp/activate/" in response.redirect_chain[-1][0]
    secret = browser.session["mfa.totp.secret"]
    browser.post("/account/second-factor/totp/activate/", {"code": totp_code(secret)})
    assert Authenticator.objects.filter(user=sam, type="totp").exists()
    assert browser.get("/admin/").status_code == 200


def test_a_session_without_a_code_cannot_enter(sam: Customer) -> None:
    TOTP.activate(sam, SECRET)
    browser = signed_in(sam, second_factor=False)
    for url in ("/admin/", "/admin/desk/", "/admin/accounts/customer/", "/admin/do/halt-all/"):
        assert browser.get(url).status_code == 302
    assert "/second-factor/reauthenticate/" in browser.get("/admin/", follow=True).redirect_chain[-1][0]


def test_guessing_is_throttled_and_logged(sam: Customer) -> None:
    responses = [enter_password(Client(), "guess") for _ in range(12)]
    assert "Too many" in responses[-1].content.decode()
    assert 1 <= AuditEntry.objects.filter(action="sign in", outcome="refused").count() <= 11
    # For now, even the correct password is refused.
    assert enter_password(Client()).status_code == 200


def test_a_session_ends_when_idle(sam: Customer) -> None:
    browser = signed_in(sam)
    assert browser.get("/admin/").status_code == 200
    now = time.time()
    with time_machine.travel(now + access.IDLE_SECONDS_MAX - 10, tick=True):
        assert browser.get("/admin/").status_code == 200
    with time_machine.travel(now + 2 * access.IDLE_SECONDS_MAX - 100, tick=True):
        # The desk refreshes itself, so opening it does not prolong the session.
        assert browser.get("/admin/desk/").status_code == 200
    with time_machine.travel(now + 2 * access.IDLE_SECONDS_MAX + 100, tick=True):
        assert browser.get("/admin/").status_code == 302


def test_a_session_ends_with_the_shift(sam: Customer) -> None:
    browser = signed_in(sam)
    now = time.time()
    for minutes in range(0, access.SESSION_SECONDS_MAX // 60, 25):
        with time_machine.travel(now + minutes * 60, tick=True):
            assert browser.get("/admin/find/").status_code == 200
    with time_machine.travel(now + access.SESSION_SECONDS_MAX + 60, tick=True):
        assert browser.get("/admin/find/").status_code == 302


def test_only_the_back_office_allows_unsafe_eval(sam: Customer) -> None:
    assert "'unsafe-eval'" in signed_in(sam).get("/admin/find/")["Content-Security-Policy"]
    assert "unsafe" not in Client().get("/")["Content-Security-Policy"]


def test_a_form_sent_after_the_session_ended_is_restored_after_signing_in(sam: Customer) -> None:
    TOTP.activate(sam, SECRET)
    risk = appoint(sam.email, Role.RISK)
    browser = signed_in(risk)
    form = "/admin/do/halt-stock/"
    fields = {"ticker": "AAPL", "confirm": "HALT", "reason": "News pending & more.", "csrfmiddlewaretoken": "x"}
    with time_machine.travel(time.time() + access.IDLE_SECONDS_MAX + 1):
        response = browser.post(form, fields)
        assert not AuditEntry.objects.filter(action="halt-stock", outcome="asked").exists()
        assert not rules().halted_tickers
        sign_in_address = response["Location"]
        assert sign_in_address.startswith("/account/login/?next=/admin/do/halt-stock/")
        assert "csrf" not in sign_in_address
        assert "confirm" not in sign_in_address
        assert "Your last request was not carried out" in browser.get(sign_in_address).content.decode()
        password_response = browser.post(sign_in_address, {"login": sam.email, "password": PASSWORD})
        assert "second-factor/authenticate" in password_response["Location"]
        form_address = browser.post("/account/second-factor/authenticate/", {"code": totp_code(SECRET)})["Location"]
        page = browser.get(form_address)
    assert (page.status_code, page.request["PATH_INFO"]) == (200, form)
    assert page.context["form"].initial.items() >= {("ticker", "AAPL"), ("reason", "News pending & more.")}
    assert "Nothing has been done yet" in page.content.decode()
    assert not rules().halted_tickers


def test_other_forms_return_to_their_page(sam: Customer) -> None:
    page, elsewhere = "http://testserver/admin/trades/trade/?ticker=AAPL", "http://elsewhere.example/admin/"
    for referer, next_page in ((page, "/admin/trades/trade/%3Fticker%3DAAPL"), (elsewhere, "/admin/"), ("", "/admin/")):
        response = Client(headers={"Referer": referer}).post("/admin/trades/trade/view/", {"name": "Apple"})
        assert response["Location"] == f"/account/login/?next={next_page}"


def test_an_address_cannot_fill_in_the_form_of_an_action(sam: Customer) -> None:
    browser = signed_in(appoint(sam.email, Role.RISK))
    assert not browser.get("/admin/do/halt-stock/?ticker=AAPL").context["form"].initial.get("ticker")
