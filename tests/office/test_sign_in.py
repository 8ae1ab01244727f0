"""Staff signs in with a second factor, for a short while, and not by guessing."""

import time
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.cache import cache
from django.test import Client

from accounts.models import Customer
from office import access
from office.models import AuditEntry
from office.roles import Role, appoint
from tests.office.conftest import signed_in

PASSWORD = "correct horse battery"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def sam(db: None) -> Customer:
    cache.clear()
    return appoint("sam@staff.example.com", Role.SUPPORT, password=PASSWORD)


def code() -> str:
    return format_hotp_value(hotp_value(SECRET, next(iter(yield_hotp_counters_from_time()))))


def give_password(browser: Client, password: str = PASSWORD, **more: Any) -> Any:
    given = {"login": "sam@staff.example.com", "password": password}
    return browser.post("/account/login/?next=/admin/", given, **more)


def test_password_and_code(sam: Customer) -> None:
    TOTP.activate(sam, SECRET)
    browser = Client()
    assert browser.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/account/login/")
    assert "second-factor/authenticate" in give_password(browser)["Location"]
    assert browser.get("/admin/").status_code == 302
    wrong = browser.post("/account/second-factor/authenticate/", {"code": "000000"})
    assert wrong.status_code == 200
    assert browser.get("/admin/").status_code == 302
    browser.post("/account/second-factor/authenticate/", {"code": code()})
    assert browser.get("/admin/").status_code == 200
    entries = AuditEntry.objects.filter(staff=sam.email, action__startswith="sign").order_by("number")
    assert [(entry.outcome, entry.reason) for entry in entries] == [("refused", "wrong code"), ("done", "signed in")]
    browser.post("/account/logout/")
    assert AuditEntry.objects.get(staff=sam.email, action="sign out").reason == "session ended"


@pytest.mark.django_db(transaction=True)
def test_without_a_second_factor_one_is_set_up_first(sam: Customer) -> None:
    browser = Client()
    give_password(browser)
    answer = browser.get("/admin/", follow=True)
    # Who changes how they sign in gives their password once more.
    asked = answer.redirect_chain[-1][0]
    assert asked.startswith("/account/reauthenticate/")
    answer = browser.post(asked, {"password": PASSWORD}, follow=True)
    assert "/second-factor/totp/activate/" in answer.redirect_chain[-1][0]
    secret = browser.session["mfa.totp.secret"]
    number = format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))
    browser.post("/account/second-factor/totp/activate/", {"code": number})
    assert Authenticator.objects.filter(user=sam, type="totp").exists()
    assert browser.get("/admin/").status_code == 200


def test_a_session_without_a_code_gets_nowhere(sam: Customer) -> None:
    TOTP.activate(sam, SECRET)
    browser = signed_in(sam, second_factor=False)
    for url in ("/admin/", "/admin/desk/", "/admin/accounts/customer/", "/admin/do/halt-all/"):
        assert browser.get(url).status_code == 302
    assert "/second-factor/reauthenticate/" in browser.get("/admin/", follow=True).redirect_chain[-1][0]


def test_guessing_is_slowed_down_and_noted(sam: Customer) -> None:
    answers = [give_password(Client(), "guess") for _ in range(12)]
    assert "Too many" in answers[-1].content.decode()
    assert 1 <= AuditEntry.objects.filter(action="sign in", outcome="refused").count() <= 11
    # Even the right one does not help for now.
    assert give_password(Client()).status_code == 200


def test_a_session_is_short(sam: Customer) -> None:
    browser = signed_in(sam)
    assert browser.get("/admin/").status_code == 200
    now = time.time()
    with time_machine.travel(now + access.IDLE_SECONDS_MAX - 10, tick=True):
        assert browser.get("/admin/").status_code == 200
    with time_machine.travel(now + 2 * access.IDLE_SECONDS_MAX - 100, tick=True):
        # The desk, which refreshes itself, keeps nobody signed in.
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


def test_only_the_back_office_may_evaluate(sam: Customer) -> None:
    assert "'unsafe-eval'" in signed_in(sam).get("/admin/find/")["Content-Security-Policy"]
    assert "unsafe" not in Client().get("/")["Content-Security-Policy"]
