"""Mail notices: one mail for all notices of a kind that wait for a customer, in plain text and HTML."""

from datetime import timedelta
from itertools import groupby

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from django.db.models.functions import Now
from django.template.loader import render_to_string

from accounts.models import Customer
from accounts.models.notice import Notice

NOTICES_A_ROUND_MAX = 200
LINES_A_MAIL_MAX = 50
TRIES_MAX = 8  # the pause doubles from TRY_AGAIN_SECONDS: the last try is after about two hours
TRY_AGAIN_SECONDS = 60
log = structlog.get_logger()


def send_notices() -> int:
    """Mail what waits, and return how many mails were sent. Any number of processes may do so at once.

    Idempotent: a notice is marked as sent in the transaction that keeps others from sending it. If the process dies
    between the mail server's answer and the commit, the mail comes twice.
    """
    sent = 0
    while waiting := _next():
        sent += _send_waiting(waiting)
        if len(waiting) < NOTICES_A_ROUND_MAX:
            break
    return sent


def bring_forward() -> None:
    """Make due the notices that wait for longer than any pause lasts, because the clock has gone back. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute(TOO_FAR_AHEAD, [TRY_AGAIN_SECONDS])


def _next() -> list[int]:
    due = Notice.objects.filter(sent_at=None, due_at__lte=Now()).order_by("due_at", "id")
    return list(due.values_list("id", flat=True)[:NOTICES_A_ROUND_MAX])


def _send_waiting(ids: list[int]) -> int:
    sent = 0
    with transaction.atomic(durable=True):
        mine = list(Notice.objects.raw(WAITING, [ids]).prefetch_related("customer"))
        for _, group in groupby(mine, key=lambda notice: (notice.customer_id, notice.kind)):
            notices = list(group)
            tries = max(notice.tries for notice in notices) + 1
            rows = Notice.objects.filter(id__in=[notice.id for notice in notices])
            if _send(notices[0].customer, notices):
                rows.update(sent_at=Now(), tries=tries)
                sent += 1
            elif tries >= TRIES_MAX:
                rows.update(due_at=None, tries=tries)
            else:
                rows.update(due_at=Now() + timedelta(seconds=TRY_AGAIN_SECONDS * 2 ** (tries - 1)), tries=tries)
    return sent


def _send(customer: Customer, notices: list[Notice]) -> bool:
    if not customer.is_active or customer.erased_at is not None:
        return True  # nobody reads it any more
    kind = Notice.Kind(notices[0].kind)
    context = {
        "name": customer.name,
        "notices": notices[:LINES_A_MAIL_MAX],
        "more": max(0, len(notices) - LINES_A_MAIL_MAX),
        "can_be_switched_off": kind != Notice.Kind.SECURITY,
        "support_email": settings.SUPPORT_EMAIL,
    }
    subject = notices[0].title if len(notices) == 1 else f"{len(notices)} × {kind.label}"
    mail = EmailMultiAlternatives(subject, render_to_string("mails/notices.txt", context), to=[customer.email])
    mail.attach_alternative(render_to_string("mails/notices.html", context), "text/html")
    try:
        mail.send()
    except OSError as error:  # the mail server is away
        log.warning("a mail was not sent", kind=kind, error=repr(error))
        return False
    return True


# What another process sends at this moment is left to it.
WAITING = """
    SELECT * FROM accounts_notice WHERE id = ANY (%s) AND sent_at IS NULL ORDER BY customer_id, kind, id
    FOR UPDATE SKIP LOCKED
"""
# After n tries a notice waits for half as long.
TOO_FAR_AHEAD = """
    UPDATE accounts_notice SET due_at = statement_timestamp()
    WHERE sent_at IS NULL AND due_at > statement_timestamp() + make_interval(secs => %s * 2 ^ tries)
"""
