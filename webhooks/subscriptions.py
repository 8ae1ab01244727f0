"""A customer's webhooks: create, change, pause, end, test one, and send again what was posted to it."""

import json
import secrets
from base64 import b64encode
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts import notices
from accounts.revocation import end_webhooks
from feed import reader
from feed.reader import Cursor
from web.encryption import encrypt
from webhooks import mails
from webhooks.addresses import check_url
from webhooks.models import Delivery, Webhook
from webhooks.queue import enter_again

WEBHOOKS_MAX = 10  # of one customer
EVENT_TEST = "webhook.test"
OVERLAP_SECONDS, OVERLAP_SECONDS_MAX = 86_400, 7 * 86_400  # how long a secret that was replaced still signs
RESENT_AT_ONCE_MAX = 1_000


class TooManyWebhooks(Exception):
    """The customer has WEBHOOKS_MAX of them."""


class WebhookKeyReused(Exception):
    """The customer used this idempotency key before, for a webhook with other terms."""


class WebhookEnded(Exception):
    """The webhook has ended: it can't be used again."""


class AnotherTestWaits(Exception):
    """The test before this one has not been tried yet."""


def webhooks_of(customer_id: int) -> QuerySet[Webhook]:
    """Return a customer's webhooks, oldest first."""
    return Webhook.objects.filter(customer_id=customer_id).order_by("id")


def create(
    customer_id: int,
    url: str,
    events: Iterable[str] = (),
    *,
    token_id: UUID | None = None,
    key: str | None = None,
) -> tuple[Webhook, bool]:
    """Create a webhook for events from now on; return it, and whether it was there before.

    Idempotent: with the same key and terms, the first webhook as it is now. Without a key: another one.

    Args:
        events: The types of events to post; none: all.
        token_id: The grant that made it, with which it ends; None where its owner made it on a page.

    Raises:
        AddressRefused: Nothing may be posted to this address.
        TooManyWebhooks: The customer has WEBHOOKS_MAX, also if they are made at the same moment.
        WebhookKeyReused: The key was used for other terms.
    """
    check_url(url)
    events = sorted(set(events))
    digest = sha256(json.dumps([url, events]).encode()).hexdigest() if key else ""
    place = reader.latest_cursor()
    while True:
        if key and (before := webhooks_of(customer_id).filter(idempotency_key=key).first()):
            if before.idempotency_digest != digest:
                raise WebhookKeyReused
            return before, True
        made = Webhook(
            customer_id=customer_id,
            slot=_free_slot(customer_id),
            token_id=token_id,
            url=url,
            events=events,
            encrypted_secret=encrypt(_new_secret()),
            idempotency_key=key,
            idempotency_digest=digest,
            xact=place.xact,
            change=place.change,
        )
        try:
            with transaction.atomic(durable=True):
                made.save(force_insert=True)
                _tell_address(made, "New webhook", "A webhook was created. It posts")
        except IntegrityError:  # somebody took the place, or used the key, at the same moment: look again
            continue
        made.refresh_from_db()
        return made, False


def _tell_address(webhook: Webhook, title: str, beginning: str) -> None:
    """Tell the owner of a webhook by mail where events are posted from now on."""
    text = f"{beginning} {', '.join(webhook.events) or 'all events'} to {webhook.url}."
    notices.enter(webhook.customer_id, notices.Kind.SECURITY, uuid7(), title, text)


def _free_slot(customer_id: int) -> int:
    taken = set(webhooks_of(customer_id).values_list("slot", flat=True))
    free = [slot for slot in range(WEBHOOKS_MAX) if slot not in taken]
    if not free:
        raise TooManyWebhooks
    return secrets.choice(free)


def change(webhook: Webhook, url: str | None = None, events: Iterable[str] | None = None) -> Webhook:
    """Change a webhook's address, the events that it is for, or both; a new address is tried at once.

    Raises:
        AddressRefused: Nothing may be posted to this address.
        WebhookEnded: It has ended.
    """
    if url is not None:
        check_url(url)
        has_moved = url != webhook.url
        with transaction.atomic(durable=True):
            _update(webhook, url=url, failures=0, failing_since=None, retry_at=None)
            if has_moved:
                _tell_address(webhook, "New address of a webhook", "The address of a webhook was changed. It posts")
    if events is not None:
        _update(webhook, events=sorted(set(events)))
    return webhook


def pause(webhook: Webhook) -> Webhook:
    """Post nothing until `resume`. Events wait: none is lost.

    Raises:
        WebhookEnded: It has ended.
    """
    return _update(webhook, status=Webhook.Status.PAUSED, status_reason="You paused it.", status_at=Now())


def resume(webhook: Webhook) -> Webhook:
    """Post again, at once, beginning with what has waited.

    Raises:
        WebhookEnded: It has ended.
    """
    active = {"status": Webhook.Status.ACTIVE, "status_reason": "", "status_at": Now()}
    return _update(webhook, **active, failures=0, failing_since=None, retry_at=None)


def end(webhook: Webhook, reason: str) -> bool:
    """Post nothing to this address any more, give up what waits, and tell its owner by mail. Its log stays.

    Idempotent: one that has ended keeps its reason, and no second mail is sent.

    Args:
        reason: A sentence for its owner.

    Returns:
        Whether it ended now.
    """
    with transaction.atomic(durable=True):
        ended = _end(Webhook.objects.filter(pk=webhook.pk), reason)
        webhook.refresh_from_db()
        if ended:
            mails.tell_ended(webhook)
    return bool(ended)


def end_all(customer_id: int, reason: str) -> int:
    """End a customer's webhooks, also those made on a page, and return how many. The caller tells their owner.

    Idempotent: those that have ended keep their reason.
    """
    return _end(Webhook.objects.filter(customer_id=customer_id), reason)


def connect() -> None:
    """Begin to end webhooks when access to an account is revoked. Idempotent."""
    end_webhooks.connect(_access_revoked, dispatch_uid="webhooks")


def _access_revoked(sender: Any, customer_id: int, reason: str, **_: Any) -> int:
    return end_all(customer_id, reason)


def _end(webhooks: QuerySet[Webhook], reason: str) -> int:
    ids = list(webhooks.exclude(status=Webhook.Status.ENDED).values_list("pk", flat=True))
    mine = Webhook.objects.filter(pk__in=ids).exclude(status=Webhook.Status.ENDED)
    ended = mine.update(status=Webhook.Status.ENDED, status_reason=reason[:200], status_at=Now(), due_at=None)
    Delivery.objects.filter(webhook__in=ids, next_at__isnull=False).update(next_at=None, answer=reason[:200])
    return ended


def rotate_secret(webhook: Webhook, overlap_seconds: int = OVERLAP_SECONDS) -> Webhook:
    """Replace the secret; for `overlap_seconds` the one before signs as well.

    Idempotent: no. Each call makes a new secret, and forgets the one before the last.

    Raises:
        WebhookEnded: It has ended.
    """
    return _update(
        webhook,
        encrypted_previous_secret=webhook.encrypted_secret if overlap_seconds else "",
        previous_secret_until=timezone.now() + timedelta(seconds=overlap_seconds) if overlap_seconds else None,
        encrypted_secret=encrypt(_new_secret()),
    )


def send_test(webhook: Webhook) -> Delivery:
    """Post an event about nothing, once and at once.

    Raises:
        AnotherTestWaits: The test before has not been tried yet.
        WebhookEnded: It has ended.
    """
    if Delivery.objects.filter(webhook=webhook, type=EVENT_TEST, next_at__isnull=False).exists():
        raise AnotherTestWaits
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    event_id = f"test-{uuid7()}"
    body = json.dumps({"eventId": event_id, "type": EVENT_TEST, "at": now, "trade": None, "corporateAction": None})
    with transaction.atomic(durable=True):
        _update(webhook, due_at=Now(), retry_at=None)
        return Delivery.objects.create(webhook=webhook, event_id=event_id, type=EVENT_TEST, body=body)


def send_again(webhook: Webhook, delivery: Delivery) -> Delivery:
    """Post one delivery again, whatever became of it, with all its attempts before it.

    Raises:
        WebhookEnded: The webhook has ended.
    """
    with transaction.atomic(durable=True):
        _update(webhook, due_at=Now(), retry_at=None)
        Delivery.objects.filter(pk=delivery.pk).update(next_at=Now(), delivered_at=None, attempts=0)
    delivery.refresh_from_db()
    return delivery


def send_range_again(webhook: Webhook, after: Cursor, until: Cursor | None = None) -> tuple[int, str | None]:
    """Post again the customer's events after one event, up to and with another; also those never posted.

    Returns:
        How many, RESENT_AT_ONCE_MAX at most, and the id of the last one where there may be more.

    Raises:
        WebhookEnded: The webhook has ended.
    """
    (events,) = reader.read([(webhook.customer_id, after)], reader.latest_cursor(), RESENT_AT_ONCE_MAX)
    has_more = len(events) == RESENT_AT_ONCE_MAX
    wanted = [event for event in events if until is None or event.cursor <= until]
    with transaction.atomic(durable=True):
        _update(webhook, due_at=Now(), retry_at=None)
        enter_again(webhook, wanted)
    return len(wanted), wanted[-1].id if has_more and len(wanted) == len(events) else None


def _update(webhook: Webhook, **changes: object) -> Webhook:
    if not Webhook.objects.filter(pk=webhook.pk).exclude(status=Webhook.Status.ENDED).update(**changes):
        raise WebhookEnded
    webhook.refresh_from_db()
    return webhook


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()
