"""Mails are stored encrypted until the sweep has handed them to the mail server."""

import inspect
import re
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import allauth
import pytest
import time_machine
from django.conf import settings as django_settings
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives, send_mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, transaction
from django.template.loader import get_template, render_to_string
from django.test import Client

from accounts import notices, statement_notices, tokens
from accounts.customers import create_customer
from accounts.funding import deposit, withdraw
from accounts.mail import GIVE_UP_AFTER, MAILS_CLAIMED_MAX, bring_forward, deliver
from accounts.models import Customer, Mail, Notice
from accounts.notice_mail import send_notices
from office import daily_report
from tests.people import violate
from webhooks import mails as webhook_mails
from webhooks import subscriptions

CODE = re.compile(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", re.MULTILINE)
PASSWORD = "copper lantern drifts 41"
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
# The database's clock can't be moved, so the month must end after the postings that a test makes today.
SECOND_OF_NEXT_JANUARY = datetime(datetime.now(UTC).year + 1, 1, 2, 15, tzinfo=UTC)
NEVER_SENT = {
    "account/email/login_code": "we don't offer signing in with a mailed code",
    "account/email/password_reset_key": "passwords are reset by a code, not by a link",
}


@pytest.fixture(autouse=True)
def outbox(settings: Any, db: None) -> None:
    """Use production's mail settings, with a list as the mail server."""
    settings.EMAIL_BACKEND, settings.MAIL_SERVER_BACKEND = "accounts.mail.Outbox", LOCMEM


class Down(EmailBackend):
    """A mail server that refuses connections."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        raise ConnectionRefusedError


class Refusing(EmailBackend):
    """A mail server that accepts everything except mail to `refused@example.com`."""

    def send_messages(self, messages: Any) -> int:
        if any("refused@example.com" in message.to for message in messages):
            raise ValueError("no such mailbox")
        return super().send_messages(messages)


class Concurrent(EmailBackend):
    """A mail server that lets another process deliver while it accepts a mail."""

    delivered_by_other: int | None = None

    def send_messages(self, messages: Any) -> int:
        if Concurrent.delivered_by_other is None:
            Concurrent.delivered_by_other = 0
            Concurrent.delivered_by_other = deliver()
        return super().send_messages(messages)


@pytest.fixture
def hanging_server(settings: Any) -> Iterator[None]:
    """A mail server that accepts connections but never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.MAIL_SERVER_BACKEND = "web.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.getsockname()
        settings.EMAIL_TIMEOUT = 0.3
        yield


def make_all_due() -> None:
    Mail.objects.update(due_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.usefixtures("hanging_server")
def test_a_page_does_not_wait_for_a_hanging_mail_server(bob: Customer, settings: Any) -> None:
    Mail.objects.all().delete()
    client = Client()
    to_code = client.post("/account/password/reset/", {"email": bob.email}).headers["Location"]
    (stored,) = Mail.objects.all()
    assert bob.email not in stored.content
    assert deliver() == 0
    assert deliver() == 0, "the next try is a minute later"
    stored.refresh_from_db()
    assert stored.tries == 1
    settings.MAIL_SERVER_BACKEND = LOCMEM
    make_all_due()
    assert deliver() == 1
    assert not Mail.objects.exists(), "a delivered mail is deleted"
    (message,) = mail.outbox
    assert (message.subject, message.to) == ("Your code to reset your password", [bob.email])
    assert isinstance(message, EmailMultiAlternatives)
    assert message.alternatives[0][1] == "text/html"
    code = CODE.search(str(message.body))
    assert code
    assert client.post(to_code, {"code": code[1]}).status_code == 302


def test_an_undeliverable_mail_delays_no_other_and_is_given_up(settings: Any) -> None:
    settings.MAIL_SERVER_BACKEND = f"{__name__}.Refusing"
    for name in ("refused", "carol", "dan"):
        send_mail("Hello", "Words.", None, [f"{name}@example.com"])
    assert deliver() == 2
    assert [message.to for message in mail.outbox] == [["carol@example.com"], ["dan@example.com"]]
    make_all_due()
    assert deliver() == 0
    assert Mail.objects.count() == 1
    make_all_due()
    with connection.cursor() as cursor:
        age = str(GIVE_UP_AFTER + timedelta(hours=1))
        cursor.execute("UPDATE accounts_mail SET created_at = now() - %s::interval", [age])
    assert deliver() == 0
    assert not Mail.objects.exists()


def test_while_the_mail_server_is_down_one_mail_is_tried_and_the_others_stay_due(settings: Any) -> None:
    settings.MAIL_SERVER_BACKEND = f"{__name__}.Down"
    for name in ("carol", "dan", "erin"):
        send_mail("Hello", "Words.", None, [f"{name}@example.com"])
    assert deliver() == 0
    assert sorted(Mail.objects.values_list("tries", flat=True)) == [0, 0, 1]
    settings.MAIL_SERVER_BACKEND = LOCMEM
    assert deliver() == 2


def test_delivering_many_mails_takes_few_statements(
    settings: Any, django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAIL_SERVER_BACKEND = LOCMEM
    monkeypatch.setattr("accounts.mail.DELETE_AFTER_SECONDS", 60.0)
    for number in range(45):
        send_mail("Hello", "Words.", None, [f"{number}@example.com"])
    with django_assert_max_num_queries(4 + 3):  # three batches are claimed and deleted, and nothing is left to claim
        assert deliver() == 45
    assert [message.to for message in mail.outbox] == [[f"{number}@example.com"] for number in range(45)]


class Slow(EmailBackend):
    """A slow mail server, which notes how many mails are still stored."""

    stored: ClassVar[list[int]] = []

    def send_messages(self, messages: Any) -> int:
        Slow.stored.append(Mail.objects.count())
        time.sleep(0.02)
        return super().send_messages(messages)


def test_while_the_mail_server_is_slow_each_delivered_mail_is_deleted_before_the_next(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAIL_SERVER_BACKEND = f"{__name__}.Slow"
    monkeypatch.setattr("accounts.mail.DELETE_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(Slow, "stored", [])
    for name in ("carol", "dan", "erin"):
        send_mail("Hello", "Words.", None, [f"{name}@example.com"])
    assert deliver() == 3
    assert Slow.stored == [3, 2, 1]


def test_mail_about_signing_in_and_security_waits_behind_no_other(bob: Customer) -> None:
    Notice.objects.update(sent_at=datetime(2026, 1, 1, tzinfo=UTC))
    for number in range(MAILS_CLAIMED_MAX + 1):
        send_mail("Hello", "Words.", None, [f"{number}@example.com"])
    make_all_due()
    tokens.issue(bob, "robot", ["read"])
    deposit(bob.id, Decimal(5))
    assert send_notices() == 2
    Client().post("/account/password/reset/", {"email": bob.email})
    deliver()
    subjects = [message.subject for message in mail.outbox]
    assert subjects[:3] == ["New API token “robot”", "Your code to reset your password", "Hello"]
    assert subjects[-1] == "Deposit of $5.00"


def test_several_processes_deliver_a_mail_once(settings: Any) -> None:
    settings.MAIL_SERVER_BACKEND = f"{__name__}.Concurrent"
    send_mail("Hello", "Words.", None, ["carol@example.com"])
    assert deliver() == 1
    assert Concurrent.delivered_by_other == 0
    assert len(mail.outbox) == 1


def test_a_slow_mail_server_does_not_prolong_the_round(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.mail.ROUND_SECONDS_MAX", 0.0)
    for name in ("carol", "dan"):
        send_mail("Hello", "Words.", None, [f"{name}@example.com"])
    assert deliver() == 0, "the round ends before the first mail"
    assert Mail.objects.filter(tries=0).count() == 2, "no mail is claimed"


def test_pauses_grow_to_an_hour(settings: Any) -> None:
    settings.MAIL_SERVER_BACKEND = f"{__name__}.Refusing"
    send_mail("Hello", "Words.", None, ["refused@example.com"])
    pauses = []
    for _ in range(8):
        make_all_due()
        deliver()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM due_at - statement_timestamp()) FROM accounts_mail")
            pauses.append(round(float(cursor.fetchone()[0]) / 60))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_clock_that_was_set_back_delays_no_mail() -> None:
    send_mail("Hello", "Words.", None, ["carol@example.com"])
    Mail.objects.update(due_at=datetime(2200, 1, 1, tzinfo=UTC))
    assert deliver() == 0
    bring_forward()
    assert deliver() == 1


def test_a_mail_of_a_transaction_that_fails_is_never_sent() -> None:
    with transaction.atomic():
        send_mail("Hello", "Words.", None, ["carol@example.com"])
        transaction.set_rollback(True)
    assert not Mail.objects.exists()


def test_an_attachment_is_refused() -> None:
    message = EmailMessage("Hello", "Words.", to=["carol@example.com"])
    message.attach("a.txt", "words", "text/plain")
    with pytest.raises(ValueError, match="attachments"):
        message.send()


# -- the tables in docs/reference/mails.md


def table(title: str) -> list[list[str]]:
    """Return the rows of the table below a heading."""
    page = (Path(django_settings.BASE_DIR) / "docs/reference/mails.md").read_text()
    part = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return rows[2:]


def notice_subjects(customer: Customer, broke: Customer) -> set[str]:
    """Cause every event that customers have a notice of; return the titles."""
    Notice.objects.all().delete()
    deposit(customer.id, Decimal("250.50"))
    withdraw(customer.id, Decimal(1))
    tokens.issue(customer, "robot", ["read"])
    webhook, _ = subscriptions.create(customer.id, "https://hooks.example.com/in")
    subscriptions.change(webhook, "https://hooks.example.com/other")
    with time_machine.travel(SECOND_OF_NEXT_JANUARY, tick=False):
        statement_notices.enter_notices()
    violate(broke)
    dan = create_customer("dan@example.com", PASSWORD)
    for device in ("Firefox", "Chrome"):
        browser = Client(headers={"User-Agent": f"Mozilla/5.0 (Windows) {device}/1"})
        browser.post("/account/login/", {"login": dan.email, "password": PASSWORD})
    return set(Notice.objects.values_list("title", flat=True))


def as_documented(title: str) -> str:
    """Return a notice's title as in the docs, which give December 2026 as the example of a month."""
    return re.sub(r"^(Your statement for December) \d{4}$", r"\1 2026", title)


def test_the_table_of_notices_matches_the_notices_sent(static_files: None, bob: Customer, broke: Customer) -> None:
    rows = table("To customers, about their account")
    assert {subject for _, subject, _ in rows} == {as_documented(title) for title in notice_subjects(bob, broke)}
    kinds = {as_documented(title): kind for title, kind in Notice.objects.values_list("title", "kind")}
    for _, subject, off in rows:
        assert off == ("no" if kinds[subject] in notices.ALWAYS else "yes"), subject


def test_the_table_of_mails_about_signing_in_is_complete() -> None:
    rows = table("To customers, about signing in")
    library = Path(allauth.__file__).parent
    own_files = list(Path(django_settings.BASE_DIR, "accounts").glob("*.py"))
    library_files = [
        path for name in ("account", "mfa") for path in (library / name).rglob("*.py") if "tests" not in path.parts
    ]
    sent = {
        name
        for path in own_files + library_files
        for name in re.findall(r'"((?:account|mfa)/email/\w+)"', path.read_text())
    }
    assert {template for _, template, _ in rows} == sent - NEVER_SENT.keys()
    for _, template, subject in rows:
        assert render_to_string(f"{template}_subject.txt").strip() == subject
        for part in ("subject", "message"):
            origin = get_template(f"{template}_{part}.txt").template.origin.name  # type: ignore[attr-defined]
            assert origin.startswith(str(django_settings.BASE_DIR / "templates")), f"{origin} is the library's template"


def test_the_table_of_other_mails_matches_the_code() -> None:
    subjects = {row[2] for row in table("To others")}
    titles = set(re.findall(r'_send_mail\(webhook, "([^"]+)"', inspect.getsource(webhook_mails)))
    assert len(titles) == 3
    assert titles < subjects
    (report_subject,) = subjects - titles
    assert datetime.strptime(report_subject, "Daily report for %A, %B %d, %Y")
    assert 'subject=f"Daily report for' in inspect.getsource(daily_report)


def test_no_other_code_sends_mail() -> None:
    senders = set()
    base = Path(django_settings.BASE_DIR)
    for app in ("accounts", "trades", "office", "webhooks", "feed", "alpaca_api", "exchange", "web", "brokerage"):
        for path in (base / app).rglob("*.py"):
            if re.search(
                r"send_mail\(|EmailMultiAlternatives\(|EmailMessage\(|(?<!class )Letter\(|notices\.(enter|Entry)\(|"
                r"[^d]Notice\(",
                path.read_text(),
            ):
                senders.add(str(path.relative_to(base)))
    assert senders - {"accounts/models/notice.py", "accounts/notices.py"} == {
        "accounts/adapter.py",
        "accounts/deactivation.py",
        "accounts/funding.py",
        "accounts/good_faith.py",
        "accounts/mail.py",
        "accounts/notice_mail.py",
        "accounts/revocation.py",
        "accounts/sign_ins.py",
        "accounts/tokens.py",
        "office/daily_report.py",
        "trades/mails.py",
        "webhooks/mails.py",
        "webhooks/subscriptions.py",
    }
