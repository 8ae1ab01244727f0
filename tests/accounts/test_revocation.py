"""Each row of the revocation policy, triggered by the owner, a program or staff."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings as django_settings
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client

from accounts import revocation, tokens
from accounts.closing import close_account
from accounts.customers import create_customer
from accounts.deactivation import AccountIsClosed, deactivate, reactivate
from accounts.freezes import freeze_withdrawals
from accounts.models import Customer, Notice
from accounts.revocation import POLICY, Cause, Ends, Sessions, revoke_access
from office.roles import Role, appoint
from tests.office.conftest import signed_in
from tests.people import totp_code
from trades.controls import set_control
from trades.models import TradingControl
from web import rate_limits
from webhooks import subscriptions
from webhooks.models import Webhook

pytestmark = [pytest.mark.usefixtures("static_files"), pytest.mark.django_db(transaction=True)]

PASSWORD, NEW_PASSWORD = "copper lantern drifts 41", "violet harbor mends 62"
CODE = re.compile(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", re.MULTILINE)
Trigger = Callable[[Customer, Client], Any]


@pytest.fixture
def carol(db: None) -> Customer:
    cache.clear()
    rate_limits.reset()
    return create_customer("carol@example.com", PASSWORD)


def browser_of(customer: Customer) -> Client:
    browser = Client()
    assert browser.post("/account/login/", {"login": customer.email, "password": PASSWORD}).status_code == 302
    return browser


def mailed_code() -> str:
    code = CODE.search(str(mail.outbox[-1].body))
    assert code, mail.outbox[-1].body
    return code[1]


def reset_password(customer: Customer, _: Client) -> None:
    owner = Client()
    to_code = owner.post("/account/password/reset/", {"email": customer.email}).headers["Location"]
    to_password = owner.post(to_code, {"code": mailed_code()}).headers["Location"]
    owner.post(to_password, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})


def change_password(_: Customer, browser: Client) -> None:
    change = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert browser.post("/account/password/change/", change).status_code == 302


def change_address(customer: Customer, browser: Client) -> None:
    form = {"email": "carol.new@example.com", "action_add": ""}
    to_code = browser.post("/account/email/", form).headers["Location"]
    browser.post(to_code, {"code": mailed_code()})
    customer.refresh_from_db()
    assert customer.email == "carol.new@example.com"


def add_factor(_: Customer, browser: Client) -> None:
    activate = "/account/second-factor/totp/activate/"
    page = browser.get(activate, follow=True)
    if page.redirect_chain:
        page = browser.post(page.redirect_chain[-1][0], {"password": PASSWORD}, follow=True)
    secret = page.context["form"].secret
    browser.post(activate, {"code": totp_code(secret)})


def by_staff(action: str) -> Trigger:
    def trigger(customer: Customer, _: Client) -> None:
        staff = signed_in(appoint("risk@staff.example.com", Role.RISK))
        response = staff.post(f"/admin/do/{action}/{customer.id}/", {"reason": "Odd sign-ins."})
        assert response.status_code == 302

    return trigger


TRIGGERS: dict[Cause, Trigger] = {
    Cause.PASSWORD_RESET: reset_password,
    Cause.PASSWORD_CHANGED: change_password,
    Cause.EMAIL_CHANGED: change_address,
    Cause.FACTOR_CHANGED: add_factor,
    Cause.TOKENS_ENDED: by_staff("end-tokens"),
    Cause.SESSIONS_ENDED: by_staff("end-sessions"),
    Cause.DEACTIVATED: by_staff("deactivate"),
    Cause.CLOSED: lambda customer, _: close_account(customer),
    Cause.TRADING_FROZEN: by_staff("freeze-trading"),
    Cause.WITHDRAWALS_FROZEN: by_staff("freeze-withdrawals"),
}
SUBJECTS = {
    "account/email/access_revoked": "Access to your account has ended",
    "account/email/account_deactivated": "Your account is deactivated",
    "account/email/account_closed": "Your account is closed",
    "account/email/account_frozen": "Your account is frozen",
}


@pytest.mark.parametrize("cause", Cause)
def test_access_ends_according_to_the_policy_and_the_owner_is_notified(carol: Customer, cause: Cause) -> None:
    policy, address = POLICY[cause], carol.email
    browser, other_browser = browser_of(carol), browser_of(carol)
    token = tokens.issue(carol, "robot")
    token_webhook, _ = subscriptions.create(carol.id, "https://hooks.example.com/token", token_id=token.grant.id)
    page_webhook, _ = subscriptions.create(carol.id, "https://hooks.example.com/page")
    mail.outbox.clear()
    TRIGGERS[cause](carol, browser)

    program = Client(headers={"Authorization": f"Bearer {token.token}"})
    token_works = program.get("/api/v1/balance").status_code == 200
    live_webhooks = set(Webhook.objects.exclude(status=Webhook.Status.ENDED).values_list("pk", flat=True))
    assert token_works is not policy.programs
    assert live_webhooks == (set() if policy.programs else {token_webhook.pk, page_webhook.pk})
    if policy.programs:
        page_webhook.refresh_from_db()
        assert page_webhook.status_reason == f"It ended because {policy.because}."
    still_signed_in = [browser.get("/").status_code == 200 for browser in (browser, other_browser)]
    assert (
        still_signed_in
        == {
            Sessions.ALL: [False, False],
            Sessions.OTHERS: [True, False],
            Sessions.NONE: [True, True],
        }[policy.sessions]
    )
    notifications = [message for message in mail.outbox if message.subject == SUBJECTS[policy.mail]]
    recipients = {carol.email, address}
    assert sorted(message.to[0] for message in notifications) == sorted(recipients)
    if policy.mail == "account/email/access_revoked":
        body = str(notifications[0].body)
        assert policy.because in body
        assert ("1 API token" in body) is policy.programs
        assert ("2 webhooks" in body) is policy.programs
        assert ("session" in body) is (policy.sessions is not Sessions.NONE)


class Killed(BaseException):
    """Raised in place of a kill signal; nothing catches it."""


@pytest.mark.parametrize(
    "cause", [Cause.PASSWORD_RESET, Cause.PASSWORD_CHANGED, Cause.EMAIL_CHANGED, Cause.FACTOR_CHANGED]
)
def test_a_change_and_its_revocation_are_one_transaction(
    carol: Customer, cause: Cause, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between the two leaves neither, so old tokens never work with a new password."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    browser, other_browser = browser_of(carol), browser_of(carol)
    token = tokens.issue(carol, "robot").token
    monkeypatch.setattr(revocation, "revoke_access", die)
    with pytest.raises(Killed):
        TRIGGERS[cause](carol, browser)
    carol.refresh_from_db()
    assert (carol.email, carol.check_password(PASSWORD)) == ("carol@example.com", True)
    assert not Authenticator.objects.filter(user=carol).exists()
    monkeypatch.undo()
    assert tokens.find(token)
    assert other_browser.get("/").status_code == 200
    cache.clear()  # the limit on mailed codes
    TRIGGERS[cause](carol, browser_of(carol))
    assert other_browser.get("/").status_code == 302
    assert (tokens.find(token) is None) is POLICY[cause].programs


KILL_AT_A_RESET = """
import os, signal, django
django.setup()
from django.test.utils import setup_test_environment
setup_test_environment()
from django.test import Client
from accounts import revocation
from accounts.models import Customer
from tests.accounts.test_revocation import reset_password
revocation.revoke_access = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
reset_password(Customer.objects.get(email="carol@example.com"), Client())
"""


@pytest.mark.process
def test_a_kill_during_a_reset_does_not_change_the_password(carol: Customer) -> None:
    token = tokens.issue(carol, "robot").token
    address = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | {"DATABASE_URL": urlunsplit(address)}
    completed = subprocess.run([sys.executable, "-c", KILL_AT_A_RESET], env=environment, capture_output=True, text=True)
    assert completed.returncode == -signal.SIGKILL, completed.stderr
    carol.refresh_from_db()
    assert carol.check_password(PASSWORD)
    assert tokens.find(token)


def test_the_owner_is_notified_even_if_only_sessions_ended(carol: Customer) -> None:
    browser_of(carol)
    browser = browser_of(carol)
    mail.outbox.clear()
    change_password(carol, browser)
    (message,) = [message for message in mail.outbox if message.subject == "Access to your account has ended"]
    assert "1 session" in str(message.body)
    assert "token" not in str(message.body).partition("If you know")[0]


def test_no_mail_is_sent_if_nothing_ended(carol: Customer) -> None:
    mail.outbox.clear()
    assert revoke_access(carol, Cause.PASSWORD_RESET) == revocation.Ended()
    assert not mail.outbox


def test_a_customer_can_be_deactivated_and_reactivated(carol: Customer) -> None:
    token = tokens.issue(carol, "robot").token
    mail.outbox.clear()
    assert [deactivate(carol), deactivate(carol)] == [True, False]
    assert Client().post("/account/login/", {"login": carol.email, "password": PASSWORD}).status_code in {200, 302}
    assert not UserSession.objects.filter(user=carol).exists()
    by_staff("reactivate")(carol, Client())
    assert not reactivate(carol)
    assert browser_of(carol).get("/").status_code == 200
    assert tokens.find(token) is None, "a revoked token stays revoked"
    assert [message.subject for message in mail.outbox] == [
        "Your account is deactivated",
        "Your account is active again",
    ]
    carol.refresh_from_db()
    close_account(carol)
    with pytest.raises(AccountIsClosed):
        reactivate(carol)


def test_staff_cannot_be_deactivated_like_customers(carol: Customer) -> None:
    colleague = appoint("sam@staff.example.com", Role.SUPPORT)
    by_staff("deactivate")(colleague, Client())
    assert Customer.objects.get(pk=colleague.pk).is_active


def test_lifting_a_freeze_is_mailed_unless_nothing_changed(carol: Customer) -> None:
    staff = appoint("risk@staff.example.com", Role.RISK)
    mail.outbox.clear()
    for is_on in (True, True, False, False):
        freeze_withdrawals(carol.id, is_on, reason="-", by=staff)
        set_control(TradingControl.Kind.HALT_CUSTOMER, is_on, reason="-", by=staff, customer=carol)
    assert [(message.subject, "trading" in str(message.body)) for message in mail.outbox] == [
        ("Your account is frozen", False),
        ("Your account is frozen", True),
        ("Your account is no longer frozen", False),
        ("Your account is no longer frozen", True),
    ]


def test_the_owner_is_notified_of_a_new_webhook_and_a_new_address(carol: Customer) -> None:
    webhook, _ = subscriptions.create(carol.id, "https://hooks.example.com/in", ["trade.filled"], key="a")
    subscriptions.create(carol.id, "https://hooks.example.com/in", ["trade.filled"], key="a")
    subscriptions.change(webhook, "https://hooks.example.com/in", ["trade.rejected"])
    subscriptions.change(webhook, "https://other.example.com/in")
    assert list(Notice.objects.filter(kind=Notice.Kind.SECURITY).order_by("id").values_list("title", "text")) == [
        ("New webhook", "A webhook was created. It posts trade.filled to https://hooks.example.com/in."),
        (
            "New address of a webhook",
            "The address of a webhook was changed. It posts trade.rejected to https://other.example.com/in.",
        ),
    ]


def test_the_table_in_the_docs_matches_the_policy() -> None:
    page = (Path(django_settings.BASE_DIR) / "docs/reference/security.md").read_text()
    part = page.partition("## What ends when\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][2:]

    def row(cause: Cause, policy: Ends) -> list[str]:
        programs = "all" if policy.programs else "none"
        notified = "always" if policy.always else "if anything ended"
        return [cause.value, programs, programs, policy.sessions.value, notified]

    assert rows == [row(cause, policy) for cause, policy in POLICY.items()]
