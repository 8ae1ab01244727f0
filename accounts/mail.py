"""Outgoing email: stored in the database when it is sent, and delivered by the sweep.

So no page or program has to wait for the mail server or fails with it, and no message is lost while it is down. A
message that is sent within a transaction is only sent if the transaction commits. Urgent messages, which are about
signing in and security, don't wait behind others.
"""

import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.models import Mail
from web import encryption
from web.letter import Letter

MAILS_A_ROUND_MAX, ROUND_SECONDS_MAX = 200, 15.0
MAILS_CLAIMED_MAX = 20  # at once, because finding the next one costs more than delivering it
DELETE_AFTER_SECONDS = 0.1  # delivered messages are deleted together, because a commit costs as much as a delivery
TRY_AGAIN_SECONDS, PAUSE_SECONDS_MAX = 60, 3600  # the first and the longest pause; each try doubles it
GIVE_UP_AFTER = timedelta(days=3)
FIELDS = ("subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "extra_headers")
log = structlog.get_logger()


class Outbox(BaseEmailBackend):
    """A Django email backend that stores messages for `deliver`."""

    def __init__(self, *, is_urgent: bool = False, **options: Any) -> None:
        """Create a backend for urgent messages or for others."""
        super().__init__(**options)
        self.is_urgent = is_urgent

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Store messages, encrypted; return how many."""
        contents = [encryption.encrypt(_packed(mail)) for mail in email_messages]
        with connection.cursor() as cursor:  # bulk_create's statement has another text for each number of messages
            cursor.execute(STORE, [self.is_urgent, contents])
        return len(contents)


def send(messages: Sequence[EmailMessage], *, is_urgent: bool) -> None:
    """Send messages: urgent ones, which are about signing in and security, are delivered before all others."""
    get_connection(is_urgent=is_urgent).send_messages(list(messages))


def as_html(text: str) -> str:
    """Return the HTML version of a message: its paragraphs below our letterhead."""
    paragraphs = [part for part in text.split("\n\n") if part.strip()]
    return render_to_string("mails/letter.html", {"paragraphs": paragraphs, "support_email": settings.SUPPORT_EMAIL})


def deliver() -> int:
    """Deliver the messages that are due; return how many were delivered. Any number of processes may do this at once.

    Idempotent: almost. A message is claimed before it is sent, and deleted afterwards, together with others that
    are delivered within DELETE_AFTER_SECONDS. If the process dies in between, it is sent twice.
    """
    server = get_connection(settings.MAIL_SERVER_BACKEND)
    delivered, delete_at, ends_at = 0, 0.0, time.monotonic() + ROUND_SECONDS_MAX
    claimed: list[Mail] = []
    sent: list[Mail] = []
    try:
        for _ in range(MAILS_A_ROUND_MAX):
            if sent and (not claimed or time.monotonic() > delete_at):
                _delete(sent)
            if time.monotonic() > ends_at or not (claimed := claimed or _claim()):
                break
            mail = claimed.pop(0)
            if not sent:
                delete_at = time.monotonic() + DELETE_AFTER_SECONDS
            try:
                server.send_messages([_unpacked(mail.content)])
            except OSError as error:  # the server may be down, so the others wait for the next round
                _failed(mail, error)
                break
            except Exception as error:  # noqa: BLE001 — a message that can't be sent must not hold up the others
                _failed(mail, error)
                continue
            sent.append(mail)
            delivered += 1
    finally:
        _delete(sent)
        _release(claimed)
        server.close()
    return delivered


def bring_forward() -> None:
    """Make messages due that would wait longer than the longest pause, because the clock was set back.

    Idempotent: yes.
    """
    Mail.objects.filter(due_at__gt=Now() + timedelta(seconds=PAUSE_SECONDS_MAX)).update(due_at=Now())


def _claim() -> list[Mail]:
    """Return the messages to deliver next, urgent ones first; keep them from others until their next try is due."""
    values = {"first": TRY_AGAIN_SECONDS, "longest": PAUSE_SECONDS_MAX, "most": MAILS_CLAIMED_MAX}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        rows = cursor.fetchall()
    names = ("id", "content", "created_at", "tries", "is_urgent")
    claimed = [Mail(**dict(zip(names, row, strict=True))) for row in rows]
    return sorted(claimed, key=lambda mail: (not mail.is_urgent, mail.pk))


def _release(claimed: list[Mail]) -> None:
    """Let others have messages that were claimed and not tried."""
    if claimed:
        Mail.objects.filter(pk__in=[mail.pk for mail in claimed]).update(due_at=Now(), tries=F("tries") - 1)


def _delete(sent: list[Mail]) -> None:
    """Delete these messages, and empty the list."""
    if sent:
        with connection.cursor() as cursor:  # one round trip; a queryset's delete() takes three
            cursor.execute("DELETE FROM accounts_mail WHERE id = ANY (%s)", [[mail.pk for mail in sent]])
        sent.clear()


def _failed(mail: Mail, error: Exception) -> None:
    log.warning("a mail was not delivered", mail=mail.pk, tries=mail.tries, error=repr(error))
    deleted, _ = Mail.objects.filter(pk=mail.pk, created_at__lt=timezone.now() - GIVE_UP_AFTER).delete()
    if deleted:
        log.error("a mail was given up", mail=mail.pk, tries=mail.tries)


def _packed(mail: EmailMessage) -> str:
    if mail.attachments:
        raise ValueError("attachments are not kept")
    content = {name: getattr(mail, name) for name in FIELDS}
    content["alternatives"] = [list(alternative) for alternative in getattr(mail, "alternatives", [])]
    return json.dumps(content, default=str)  # a subject may be a lazy translation


def _unpacked(content: str) -> Letter:
    found: dict[str, Any] = json.loads(encryption.decrypt(content))
    alternatives, headers = found.pop("alternatives"), found.pop("extra_headers")
    mail = Letter(**found, headers=headers)
    for text, kind in alternatives:
        mail.attach_alternative(text, kind)
    return mail


STORE = "INSERT INTO accounts_mail (content, is_urgent) SELECT new.content, %s FROM unnest(%s::text[]) AS new (content)"
CLAIM = """
    UPDATE accounts_mail
    SET tries = tries + 1,
        due_at = statement_timestamp() + make_interval(secs => LEAST(%(longest)s, %(first)s * 2 ^ LEAST(tries, 20)))
    WHERE id = ANY (ARRAY(
        SELECT id FROM accounts_mail WHERE due_at <= statement_timestamp() ORDER BY is_urgent DESC, due_at
        LIMIT %(most)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, content, created_at, tries, is_urgent
"""
