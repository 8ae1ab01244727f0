"""Email notices: one message for all waiting notices of a kind to a customer, in plain text and HTML.

The mail is entered into the outbox (`accounts.mail`) in the transaction that marks its notices as sent.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from django.db.models.functions import Now
from django.template.loader import render_to_string

from accounts.mail import send
from accounts.models import Customer
from accounts.models.notice import Notice
from accounts.notices import ALWAYS

NOTICES_A_ROUND_MAX = 200
LINES_A_MAIL_MAX = 50
WAIT_SECONDS_MAX = 60  # the longest that a notice waits for others to share its email


class NoticeText(Protocol):
    """The text of a notice: a title of one line, and whole sentences."""

    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...


def send_notices() -> int:
    """Send the waiting notices; return how many messages were sent. Any number of processes may do this at once.

    Idempotent: a notice is in one mail.
    """
    sent = 0
    while waiting := _next():
        sent += _send_waiting(waiting)
        if len(waiting) < NOTICES_A_ROUND_MAX:
            break
    return sent


def bring_forward() -> None:
    """Make notices due that would wait longer than WAIT_SECONDS_MAX, because the clock was set back.

    Idempotent: yes.
    """
    with connection.cursor() as cursor:
        cursor.execute(TOO_FAR_AHEAD, [WAIT_SECONDS_MAX])


def _next() -> list[int]:
    due = Notice.objects.filter(sent_at=None, due_at__lte=Now()).order_by("due_at", "id")
    return list(due.values_list("id", flat=True)[:NOTICES_A_ROUND_MAX])


def _send_waiting(ids: list[int]) -> int:
    """Send these notices; return how many messages that took.

    No event is served to anybody before every transaction that began earlier has ended. So the messages are prepared
    first, and the transaction only writes them.
    """
    waiting = Notice.objects.filter(id__in=ids, sent_at=None).order_by("customer_id", "kind", "id")
    prepared: list[tuple[set[int], bool, EmailMultiAlternatives | None]] = []
    by_mail = groupby(waiting.select_related("customer"), key=lambda notice: (notice.customer_id, notice.kind))
    for (_, kind), group in by_mail:
        notices, is_urgent = list(group), kind == Notice.Kind.SECURITY
        customer = notices[0].customer
        is_read = customer.is_active and customer.erased_at is None
        prepared.append(({notice.id for notice in notices}, is_urgent, _mail(customer, notices) if is_read else None))
    with transaction.atomic(durable=True):
        current = {notice.id for notice in Notice.objects.raw(WAITING, [ids])}
        sending = [message for message in prepared if message[0] <= current]
        for is_urgent in (True, False):
            send([mail for _, urgency, mail in sending if mail and urgency is is_urgent], is_urgent=is_urgent)
        Notice.objects.filter(id__in=set().union(*(group for group, _, _ in sending))).update(sent_at=Now())
    return sum(mail is not None for _, _, mail in sending)


def _mail(customer: Customer, notices: list[Notice]) -> EmailMultiAlternatives:
    return mail_of(customer.name, customer.email, Notice.Kind(notices[0].kind), notices)


def mail_of(name: str, email: str, kind: Notice.Kind, notices: Sequence[NoticeText]) -> EmailMultiAlternatives:
    """Return a message with these notices of one kind, to be sent.

    Args:
        name: The customer's.
        email: The customer's address.
        kind: The kind of all of them.
        notices: At least one.
    """
    context = {
        "name": name,
        "notices": notices[:LINES_A_MAIL_MAX],
        "more": max(0, len(notices) - LINES_A_MAIL_MAX),
        "can_be_switched_off": kind not in ALWAYS,
        "is_about_security": kind == Notice.Kind.SECURITY,
        "support_email": settings.SUPPORT_EMAIL,
    }
    subject = notices[0].title if len(notices) == 1 else f"{len(notices)} × {kind.label}"
    mail = EmailMultiAlternatives(subject, render_to_string("mails/notices.txt", context), to=[email])
    mail.attach_alternative(render_to_string("mails/notices.html", context), "text/html")
    return mail


# Skips notices that another process is sending at this moment.
WAITING = """
    SELECT id FROM accounts_notice WHERE id = ANY (%s) AND sent_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED
"""
TOO_FAR_AHEAD = """
    UPDATE accounts_notice SET due_at = statement_timestamp()
    WHERE sent_at IS NULL AND due_at > statement_timestamp() + make_interval(secs => %s)
"""
