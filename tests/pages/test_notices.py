"""Notices by mail: each is sent once, and only if the customer wants it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import timezone

from accounts import notice_mail, notices, statement_notices, tokens
from accounts.customers import create_customer
from accounts.funding import deposit
from accounts.models import Customer
from accounts.models.notice import Notice

PASSWORD = "copper lantern drifts 41"
PageOf = Callable[[Customer], Client]


def send_due_notices(*, makes_due: bool = True) -> list[EmailMultiAlternatives]:
    """Send the notices that are due, or all if `makes_due`; return the messages."""
    mail.outbox.clear()
    if makes_due:
        Notice.objects.filter(sent_at=None).update(due_at=datetime(2026, 1, 1, tzinfo=UTC))
    notice_mail.send_notices()
    return [message for message in mail.outbox if isinstance(message, EmailMultiAlternatives)]


@pytest.fixture
def carol(bob: Customer) -> Customer:
    """Return Bob, with all earlier notices already mailed."""
    send_due_notices()
    return bob


def test_a_transfer_is_mailed_once_in_plain_text_and_html(carol: Customer) -> None:
    deposit(carol.id, Decimal("250.5"))
    (message,) = send_due_notices()
    assert (message.subject, message.to) == ("Deposit of $250.50", [carol.email])
    assert "$250.50 arrived from the stand-in bank." in str(message.body)
    assert "switch off" in str(message.body)
    (html,) = message.alternatives
    assert "$250.50 arrived" in str(html[0])
    assert send_due_notices() == []


def test_a_clock_that_was_set_back_delays_no_mail(carol: Customer) -> None:
    deposit(carol.id, Decimal("250.5"))
    Notice.objects.filter(sent_at=None).update(due_at=timezone.now() + timedelta(hours=1))
    assert send_due_notices(makes_due=False) == []
    notice_mail.bring_forward()
    assert [message.subject for message in send_due_notices(makes_due=False)] == ["Deposit of $250.50"]


def test_disabled_mails_are_not_sent_but_security_mails_are(carol: Customer, page_of: PageOf) -> None:
    client = page_of(carol)
    assert client.get("/account/mail").context["form"].initial["wanted"] == ["trades", "transfers", "statements"]
    client.post("/account/mail", {"wanted": ["statements"]})
    assert notices.muted_by(carol.id) == {"trades", "transfers"}
    deposit(carol.id, Decimal(5))
    tokens.issue(carol, "robot", ["read"])
    (message,) = send_due_notices()
    assert message.subject == "New API token “robot”"
    assert "If this was not you" in str(message.body)
    assert client.post("/account/mail", {"wanted": ["nonsense"]}).status_code == 422


def test_a_statement_is_announced_once_in_the_first_days_of_a_month(carol: Customer) -> None:
    year = datetime.now(UTC).year + 1  # the month must end after the postings, which the database dates today
    with time_machine.travel(datetime(year, 1, 12, 15, tzinfo=UTC), tick=False):
        assert statement_notices.enter_notices() == 0
    with time_machine.travel(datetime(year, 1, 2, 15, tzinfo=UTC), tick=False):
        assert statement_notices.enter_notices() == 1
        assert statement_notices.enter_notices() == 0
    assert Notice.objects.get(customer=carol, kind="statements").title == f"Your statement for December {year - 1}"


def test_a_sign_in_from_a_new_device_is_send_due_notices(static_files: None, db: None) -> None:
    dan = create_customer("dan@example.com", PASSWORD)
    for device in ("Firefox", "Firefox", "Chrome"):
        browser = Client(headers={"User-Agent": f"Mozilla/5.0 (Windows) {device}/1"})
        browser.post("/account/login/", {"login": dan.email, "password": PASSWORD})
    (notice,) = Notice.objects.filter(customer=dan)
    assert notice.title == "A new device signed in to your account"
    assert notice.text.startswith("Chrome on Windows signed in")
