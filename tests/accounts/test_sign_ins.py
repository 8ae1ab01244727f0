"""The sign-in history: successful and failed sign-ins and ended sessions, kept unchanged for the stated time."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from accounts import sign_ins
from accounts.customers import create_customer
from accounts.models import SIGN_INS_KEPT_DAYS, Customer, SignIn
from tests.factories import SignInFactory
from tests.guarantees import guarantee_named_by
from tests.people import totp_code

PASSWORD = "a-long-enough-phrase-7"
SECRET = "JBSWY3DPEHPK3PXP"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def _plain_static_file_names(settings: Any) -> None:
    """Let pages refer to static files without the manifest that `make run` creates."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture
def erin(db: None) -> Customer:
    cache.clear()
    return create_customer("erin@example.com", PASSWORD)


@pytest.fixture
def browser() -> Client:
    return Client(REMOTE_ADDR="192.0.2.9", headers={"User-Agent": FIREFOX})


def enter_password(browser: Client, password: str = PASSWORD, email: str = "erin@example.com") -> None:
    browser.post("/account/login/", {"login": email, "password": password})


def kinds(customer: Customer) -> list[str]:
    return [row.kind for row in reversed(sign_ins.sign_ins_of(customer.id))]


def test_sign_in_and_sign_out_are_recorded(erin: Customer, browser: Client) -> None:
    enter_password(browser)
    signed_in = SignIn.objects.get()
    assert (signed_in.kind, signed_in.address, signed_in.device, signed_in.second_factor) == (
        "in",
        "192.0.2.9",
        FIREFOX,
        False,
    )
    assert abs(timezone.now() - signed_in.at) < timedelta(minutes=1)
    key = browser.session.session_key or ""
    assert signed_in.session
    assert signed_in.session not in key
    browser.post("/account/logout/")
    signed_out = SignIn.objects.latest("id")
    assert (signed_out.kind, signed_out.session, signed_out.address, signed_out.device) == (
        "ended",
        signed_in.session,
        "192.0.2.9",
        FIREFOX,
    )
    assert not UserSession.objects.exists()
    assert kinds(erin) == ["in", "ended"]


def test_failed_sign_ins_are_recorded_for_known_addresses_only(erin: Customer, browser: Client) -> None:
    enter_password(browser, "guess")
    enter_password(browser, "guess", "ERIN@example.com")
    enter_password(browser, "guess", "nobody@example.com")
    assert kinds(erin) == ["wrong_password", "wrong_password"]
    assert SignIn.objects.count() == 2
    assert {row.address for row in SignIn.objects.all()} == {"192.0.2.9"}


def test_second_factors_are_recorded(erin: Customer, browser: Client) -> None:
    TOTP.activate(erin, SECRET)
    enter_password(browser)
    assert kinds(erin) == []
    browser.post("/account/second-factor/authenticate/", {"code": "000000"})
    browser.post("/account/second-factor/authenticate/", {"code": totp_code(SECRET)})
    assert kinds(erin) == ["wrong_code", "in"]
    assert SignIn.objects.latest("id").second_factor
    assert Authenticator.objects.filter(user=erin).exists()


@pytest.mark.parametrize(("steps", "is_accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_may_be_one_step_early_or_late(
    steps: int, is_accepted: bool, erin: Customer, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6238, section 5.2: a code that was read a second before it changed still counts."""
    TOTP.activate(erin, SECRET)
    enter_password(browser)
    now = 30 * (int(time.time()) // 30) + 15  # the middle of a step
    monkeypatch.setattr(time, "time", lambda: float(now))
    code = totp_code(SECRET, steps, at=now)
    browser.post("/account/second-factor/authenticate/", {"code": code})
    assert kinds(erin) == (["in"] if is_accepted else ["wrong_code"])


def test_a_token_created_by_password_is_recorded(erin: Customer, browser: Client) -> None:
    body = {"email": "erin@example.com", "password": PASSWORD, "name": "a program"}
    assert browser.post("/api/v1/tokens", body, content_type="application/json").status_code == 201
    assert browser.post("/api/v1/tokens", body | {"password": "x"}, content_type="application/json").status_code == 401
    assert kinds(erin) == ["token", "wrong_password"]
    assert not SignIn.objects.exclude(address="192.0.2.9", device=FIREFOX).exists()


def test_sessions_ended_by_others_are_recorded(erin: Customer, browser: Client) -> None:
    enter_password(browser)
    other = Client(REMOTE_ADDR="192.0.2.10")
    enter_password(other)
    browser.post("/account/sessions/")  # ends all others
    assert kinds(erin) == ["in", "in", "ended"]
    assert SignIn.objects.latest("id").address == "192.0.2.10"
    assert sign_ins.end_sessions(erin.id) == 1
    assert sign_ins.end_sessions(erin.id) == 0
    assert kinds(erin) == ["in", "in", "ended", "ended"]
    assert browser.get("/account").status_code == 302


def test_an_abandoned_session_is_recorded_as_expired(erin: Customer, browser: Client) -> None:
    enter_password(browser)
    Session.objects.all().delete()
    UserSession.objects.update(created_at=timezone.now() - timedelta(days=2))
    enter_password(Client())
    assert kinds(erin) == ["in", "in", "expired"]


def test_customers_see_their_own_sign_ins(erin: Customer, browser: Client) -> None:
    other = create_customer("frank@example.com", PASSWORD)
    enter_password(Client(REMOTE_ADDR="192.0.2.66"), "guess")
    enter_password(Client(REMOTE_ADDR="192.0.2.77"), email=other.email)
    enter_password(browser)
    html = browser.get("/account/sessions/").content.decode()
    assert "Wrong password" in html
    assert "192.0.2.66" in html
    assert "Firefox on Linux" in html
    assert "192.0.2.77" not in html


def test_sign_ins_are_immutable_and_deleted_when_old(erin: Customer) -> None:
    long_ago = timezone.now() - timedelta(days=SIGN_INS_KEPT_DAYS, minutes=1)
    for _ in range(3):
        SignInFactory.create(customer=erin, at=long_ago)
    recent = SignInFactory.create(customer=erin)
    attempts: list[tuple[str, Callable[[], Any]]] = [
        ("sign_ins_stay", lambda: SignIn.objects.update(kind="ended")),
        ("sign_ins_are_kept", lambda: SignIn.objects.filter(id=recent.id).delete()),
    ]
    for guarantee, attempt in attempts:
        with pytest.raises(DatabaseError) as caught, transaction.atomic():
            attempt()
        assert guarantee_named_by(caught.value) == guarantee
    assert [sign_ins.forget_old(2) for _ in range(3)] == [2, 1, 0]
    assert SignIn.objects.get() == recent
