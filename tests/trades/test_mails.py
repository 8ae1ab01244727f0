"""Mails about trades that have ended: each trade is in one of them, and a customer gets at most one a minute."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, transaction
from django.utils import timezone

from accounts import notices
from accounts.ledger import open_books
from accounts.models import Customer, NoticePlace
from accounts.models.notice import Notice
from tests.people import claim, find_ended_trades, open_account, receive_shares, send_report
from trades import mails, turn
from trades.cancel import cancel_trade
from trades.market_now import market_now
from trades.models import Status, Trade, TradeMail
from trades.place import place_trade

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FAR_AHEAD = 2**40  # a transaction number


@pytest.fixture(autouse=True)
def carol(bob: Customer) -> Customer:
    """Return Bob; trades that have ended before are not mailed."""
    mails.find_ended()
    return bob


def send_due_mails(*, makes_due: bool = True) -> list[EmailMultiAlternatives]:
    """Send the mails that are due, or all if `makes_due`; return them."""
    find_ended_trades()
    mail.outbox.clear()
    if makes_due:
        TradeMail.objects.filter(due_at__isnull=False).update(due_at=LONG_AGO)
    mails.mail_trades()
    return [message for message in mail.outbox if isinstance(message, EmailMultiAlternatives)]


def is_documented(message: EmailMultiAlternatives) -> bool:
    """Return whether the page about mails has this subject as an example."""
    page = (settings.BASE_DIR / "docs/reference/mails.md").read_text()
    return f"| {message.subject} | yes |" in page


def reject(customer: Customer) -> Trade:
    """Have the exchange reject a trade."""
    trade, _ = place_trade(customer.id, "KO", "BUY", 3)
    claim(customer)
    send_report(trade, Status.REJECTED)
    claim(customer)
    return trade


def test_a_trade_is_mailed_once_in_plain_text_and_html(carol: Customer) -> None:
    receive_shares(carol, "KO", 2, Decimal("58.02"))
    assert send_due_mails(makes_due=False) == [], "a mail waits a moment for further trades"
    (message,) = send_due_mails()
    assert (message.subject, message.to) == ("Bought 2 KO at $58.02", [carol.email])
    assert is_documented(message)
    assert "Your trade was filled: 2 shares at $58.02, $116.04 in total." in str(message.body)
    assert "2 shares at $58.02" in str(message.alternatives[0][0])
    assert send_due_mails() == []


def test_a_rejected_trade_is_mailed_with_the_reason(carol: Customer) -> None:
    reject(carol)
    (message,) = send_due_mails()
    assert is_documented(message)
    assert "The exchange could not execute the trade. Nothing was bought or sold." in str(message.body)


def test_trades_that_end_together_come_in_one_mail_with_a_table(carol: Customer) -> None:
    receive_shares(carol, "KO", 2, Decimal("58.02"))
    reject(carol)
    (message,) = send_due_mails()
    assert message.subject == "1 trade filled, 1 not executed"
    assert "\n1. Bought 2 KO at $58.02, $116.04 in total\n2. Not executed: buy 3 KO. The exch" in str(message.body)
    assert is_documented(message)
    html = str(message.alternatives[0][0])
    assert html.count("<tr") == 3
    assert "under Trades" in html
    assert send_due_mails() == []


def test_the_table_is_bounded(carol: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "TRADES_A_MAIL_MAX", 2)
    for _ in range(3):
        receive_shares(carol, "KO", 1, Decimal(5))
    (message,) = send_due_mails()
    assert message.subject == "3 trades were filled or rejected"
    assert str(message.body).count("Bought 1 KO") == 2
    assert "… and 1 more" in str(message.body)


def test_a_customer_gets_at_most_one_mail_a_minute(carol: Customer) -> None:
    receive_shares(carol, "KO", 1, Decimal(5))
    assert len(send_due_mails()) == 1
    dan = open_account("dan@example.com", Decimal(100))
    for customer in (carol, dan):
        receive_shares(customer, "KO", 1, Decimal(5))
    find_ended_trades()
    assert 50 < seconds_until_mail(carol) <= mails.PAUSE_SECONDS
    assert seconds_until_mail(dan) <= mails.COLLECT_SECONDS


def seconds_until_mail(customer: Customer) -> float:
    due_at = TradeMail.objects.get(customer=customer).due_at
    assert due_at is not None
    return (due_at - timezone.now()).total_seconds()


def test_a_cancelled_trade_is_not_mailed_and_does_not_delay_the_next(carol: Customer) -> None:
    trade, _ = place_trade(carol.id, "KO", "BUY", 1)
    cancel_trade(carol.id, trade.id, by="test")
    assert send_due_mails() == []
    assert TradeMail.objects.get(customer=carol).mailed_at is None
    receive_shares(carol, "KO", 1, Decimal(5))
    find_ended_trades()
    assert seconds_until_mail(carol) <= mails.COLLECT_SECONDS
    (message,) = send_due_mails()
    assert message.subject == "Bought 1 KO at $5.00"


def test_nothing_is_kept_for_a_customer_who_wants_no_mail(carol: Customer) -> None:
    notices.set_muted(carol.id, ["trades"])
    receive_shares(carol, "KO", 1, Decimal(5))
    assert send_due_mails() == []
    notices.set_muted(carol.id, [])
    assert send_due_mails() == []


class Failing(EmailBackend):
    """An outbox that fails, as if the process died before the commit."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        raise SystemExit


def test_a_process_that_dies_loses_no_mail_and_repeats_none(carol: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    receive_shares(carol, "KO", 1, Decimal(5))
    with monkeypatch.context() as patched:
        patched.setattr(settings, "EMAIL_BACKEND", f"{__name__}.Failing")
        with pytest.raises(SystemExit):
            send_due_mails()
    assert len(send_due_mails()) == 1
    assert send_due_mails() == []


def test_a_mail_that_two_processes_prepare_is_sent_once(carol: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    receive_shares(carol, "KO", 1, Decimal(5))
    prepare, sent_by_other = mails.prepare, []

    def prepare_while_another_sends(recipients: list[mails.Recipient]) -> dict[int, EmailMultiAlternatives]:
        monkeypatch.setattr(mails, "prepare", prepare)
        prepared = prepare(recipients)
        sent_by_other.append(mails.mail_trades())
        return prepared

    monkeypatch.setattr(mails, "prepare", prepare_while_another_sends)
    assert len(send_due_mails()) == 1
    assert sent_by_other == [1]


def test_a_trade_that_ends_while_its_customers_mail_is_prepared_is_mailed_once(
    carol: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive_shares(carol, "KO", 1, Decimal(5))
    prepare = mails.prepare

    def prepare_while_a_trade_ends(recipients: list[mails.Recipient]) -> dict[int, EmailMultiAlternatives]:
        monkeypatch.setattr(mails, "prepare", prepare)
        prepared = prepare(recipients)
        receive_shares(carol, "KO", 2, Decimal(5))
        find_ended_trades()
        return prepared

    monkeypatch.setattr(mails, "prepare", prepare_while_a_trade_ends)
    assert send_due_mails() == []
    (message,) = send_due_mails()
    assert message.subject == "2 trades filled"
    assert send_due_mails() == []


def test_a_trade_whose_transaction_commits_late_is_mailed(carol: Customer, alice: Customer) -> None:
    late, _ = place_trade(carol.id, "KO", "BUY", 1)
    claim(carol)
    send_report(late, Status.FILLED, Decimal(5))
    written, commit = threading.Event(), threading.Event()

    def settle_slowly() -> None:
        try:
            with transaction.atomic():
                settle(carol)
                written.set()
                assert commit.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=settle_slowly)
    thread.start()
    assert written.wait(20)
    receive_shares(alice, "KO", 1, Decimal(5))
    assert send_due_mails() == [], "an earlier status change may still appear"
    commit.set()
    thread.join()
    assert sorted(message.to[0] for message in send_due_mails()) == [alice.email, carol.email]


def settle(customer: Customer) -> None:
    """Take a turn in the transaction that is open."""
    turn.serve(open_books([customer.id]), market_now(), "test")


def test_transaction_numbers_of_another_server_stop_no_mail(carol: Customer) -> None:
    receive_shares(carol, "KO", 1, Decimal(5))
    NoticePlace.objects.update(xact=FAR_AHEAD)
    assert len(send_due_mails()) == 1


def test_a_clock_that_was_set_back_delays_no_mail(carol: Customer) -> None:
    receive_shares(carol, "KO", 1, Decimal(5))
    find_ended_trades()
    TradeMail.objects.update(due_at=timezone.now() + timedelta(hours=1))
    assert len(send_due_mails(makes_due=False)) == 1
    TradeMail.objects.update(mailed_at=timezone.now() + timedelta(hours=1))
    receive_shares(carol, "KO", 1, Decimal(5))
    find_ended_trades()
    due_at = TradeMail.objects.get(customer=carol).due_at
    assert due_at is not None
    assert due_at <= timezone.now() + timedelta(seconds=mails.PAUSE_SECONDS)


def test_a_trade_that_the_release_before_has_a_notice_of_is_not_mailed_again(carol: Customer) -> None:
    trade = receive_shares(carol, "KO", 1, Decimal(5))
    notices.enter(carol.id, Notice.Kind.TRADES, trade.id, "Bought 1 KO", "Words.")
    assert send_due_mails() == []
