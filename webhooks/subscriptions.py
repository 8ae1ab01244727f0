"""Manage a customer's webhooks: create, change, pause, resume, end, and test them, and resend events."""

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
from accounts.access_lock import confirm_sign_in, confirm_token
from accounts.tokens import end_webhooks
from feed import reader
from feed.reader import Cursor, Event
from web.encryption import encrypt
from webhooks import mails
from webhooks.addresses import check_url
from webhooks.models import Delivery, Webhook
from webhooks.queue import reenter_events

WEBHOOKS_MAX = 10  # for each customer
EVENT_TEST = "webhook.test"
OVERLAP_SECONDS, OVERLAP_SECONDS_MAX = 86_400, 7 * 86_400  # how long a replaced secret still signs
RESENT_AT_ONCE_MAX = 1_000


class TooManyWebhooks(Exception):
    """The customer has WEBHOOKS_MAX webhooks already."""


class WebhookKeyReused(Exception):
    """The customer has used this idempotency key for a webhook with other terms."""


class WebhookEnded(Exception):
    """The webhook has ended and can't be used again."""


class AnotherTestWaits(Exception):
    """The previous test event has not been posted yet."""


def webhooks_of(customer_id: int) -> QuerySet[Webhook]:
    """Return a customer's webhooks, oldest first."""
    return Webhook.objects.filter(customer_id=customer_id).order_by("id")


def create(
    customer_id: int,
    url: str,
    events: Iterable[str] = (),
    *,
    token_id: UUID | None = None,
    signed_in: Any = None,
    key: str | None = None,
) -> tuple[Webhook, bool]:
    """Create a webhook for future events; return it, and whether it existed already.

    Idempotent: the same key and terms return the first webhook as it is now. Without a key each call creates another.

    Args:
        events: The event types to post; empty: all.
        token_id: The token that creates it: the webhook ends with the token. None: created on a page.
        signed_in: The customer who creates it on a page, as it was when the request was let in.

    Raises:
        AddressRefused: Events may not be posted to this URL.
        TooManyWebhooks: The customer has WEBHOOKS_MAX webhooks, perhaps created concurrently.
        WebhookKeyReused: The key was used for other terms.
        AccessEnded: The token was revoked, or the customer could not sign in anymore as before.
    """
    check_url(url)
    events = sorted(set(events))
    digest = sha256(json.dumps([url, events]).encode()).hexdigest() if key else ""
    cursor = reader.latest_cursor()
    terms = {"customer_id": customer_id, "token_id": token_id, "url": url, "events": events}
    keyed = {"idempotency_key": key, "idempotency_digest": digest}
    while True:
        if key and (existing := _created_before(customer_id, key, digest)):
            return existing, True
        secret, slot = encrypt(_new_secret()), _free_slot(customer_id)
        webhook = Webhook(slot=slot, encrypted_secret=secret, **terms, **keyed, **cursor._asdict())
        try:
            with transaction.atomic(durable=True):
                _confirm_access(customer_id, token_id, signed_in)
                webhook.save(force_insert=True)
                _notify_address(webhook, "New webhook", "A webhook was created. It posts")
        except IntegrityError:  # a concurrent request took the slot or used the key: try again
            continue
        webhook.refresh_from_db()
        return webhook, False


def _created_before(customer_id: int, key: str, digest: str) -> Webhook | None:
    existing = webhooks_of(customer_id).filter(idempotency_key=key).first()
    if existing and existing.idempotency_digest != digest:
        raise WebhookKeyReused
    return existing


def _confirm_access(customer_id: int, token_id: UUID | None, signed_in: Any) -> None:
    if token_id is not None:
        confirm_token(customer_id, token_id)
    elif signed_in is not None:
        confirm_sign_in(signed_in)


def _notify_address(webhook: Webhook, title: str, beginning: str) -> None:
    """Mail the owner of a webhook where its events are posted from now on."""
    text = f"{beginning} {', '.join(webhook.events) or 'all events'} to {webhook.url}."
    notices.enter(webhook.customer_id, notices.Kind.SECURITY, uuid7(), title, text)


def _free_slot(customer_id: int) -> int:
    used_slots = set(webhooks_of(customer_id).values_list("slot", flat=True))
    free = [slot for slot in range(WEBHOOKS_MAX) if slot not in used_slots]
    if not free:
        raise TooManyWebhooks
    return secrets.choice(free)


def change(
    webhook: Webhook, url: str | None = None, events: Iterable[str] | None = None, *, token_id: UUID | None = None
) -> Webhook:
    """Change a webhook's URL, its event types, or both. A new URL is tried immediately.

    Args:
        url: Where to post from now on.
        events: The event types to post; empty: all.
        token_id: The token that changes it. With a new URL, the webhook ends with this token: whoever chose where the
            events go must not receive them for longer than the token allows.

    Raises:
        AddressRefused: Events may not be posted to this URL.
        WebhookEnded: The webhook has ended.
        AccessEnded: The token was revoked.
    """
    if url is not None:
        check_url(url)
        has_moved = url != webhook.url
        chosen_by = {"token_id": token_id} if has_moved and token_id is not None else {}
        with transaction.atomic(durable=True):
            if token_id is not None:
                confirm_token(webhook.customer_id, token_id)
            _update(webhook, url=url, **chosen_by, failures=0, failing_since=None, retry_at=None)
            if has_moved:
                _notify_address(webhook, "New address of a webhook", "The address of a webhook was changed. It posts")
    if events is not None:
        _update(webhook, events=sorted(set(events)))
    return webhook


def pause(webhook: Webhook) -> Webhook:
    """Stop posting until `resume`. No event is lost.

    Raises:
        WebhookEnded: The webhook has ended.
    """
    return _update(webhook, status=Webhook.Status.PAUSED, status_reason="You paused it.", status_at=Now())


def resume(webhook: Webhook) -> Webhook:
    """Start posting again immediately, beginning with the events that have waited.

    Raises:
        WebhookEnded: The webhook has ended.
    """
    active = {"status": Webhook.Status.ACTIVE, "status_reason": "", "status_at": Now()}
    return _update(webhook, **active, failures=0, failing_since=None, retry_at=None)


def end(webhook: Webhook, reason: str) -> bool:
    """End a webhook for good: give up its waiting deliveries and mail its owner. Its log stays.

    Idempotent: a webhook that has ended keeps its reason, and no second mail is sent.

    Args:
        reason: A sentence for the owner.

    Returns:
        Whether this call ended it.
    """
    with transaction.atomic(durable=True):
        ended = _end(Webhook.objects.filter(pk=webhook.pk), reason)
        webhook.refresh_from_db()
        if ended:
            mails.mail_ended(webhook)
    return bool(ended)


def end_all(customer_id: int, reason: str, token_id: UUID | None = None) -> int:
    """End all webhooks of a customer, or of one token, and return how many. The caller notifies the customer.

    Idempotent: webhooks that have ended keep their reason.
    """
    webhooks = Webhook.objects.filter(customer_id=customer_id)
    return _end(webhooks if token_id is None else webhooks.filter(token_id=token_id), reason)


def remove(webhook: Webhook) -> None:
    """Delete a webhook with its delivery log. Idempotent.

    It ends first, which locks it: no event is entered for it while its log is being deleted.
    """
    with transaction.atomic(durable=True):
        _end(Webhook.objects.filter(pk=webhook.pk), "It was deleted.")
        Webhook.objects.filter(pk=webhook.pk).delete()


def connect() -> None:
    """Connect the receiver that ends webhooks when access to an account is revoked. Idempotent."""
    end_webhooks.connect(_access_revoked, dispatch_uid="webhooks")


def _access_revoked(sender: Any, customer_id: int, reason: str, token_id: UUID | None = None, **_: Any) -> int:
    return end_all(customer_id, reason, token_id)


def _end(webhooks: QuerySet[Webhook], reason: str) -> int:
    ids = list(webhooks.exclude(status=Webhook.Status.ENDED).values_list("pk", flat=True))
    open_webhooks = Webhook.objects.filter(pk__in=ids).exclude(status=Webhook.Status.ENDED)
    ended = open_webhooks.update(status=Webhook.Status.ENDED, status_reason=reason[:200], status_at=Now(), due_at=None)
    Delivery.objects.filter(webhook__in=ids, next_at__isnull=False).update(next_at=None, answer=reason[:200])
    return ended


def rotate_secret(webhook: Webhook, overlap_seconds: int = OVERLAP_SECONDS) -> Webhook:
    """Replace the secret. For `overlap_seconds` the previous secret also signs.

    Idempotent: no. Each call generates a new secret, and only the last two are kept.

    Raises:
        WebhookEnded: The webhook has ended.
    """
    return _update(
        webhook,
        encrypted_previous_secret=webhook.encrypted_secret if overlap_seconds else "",
        previous_secret_until=timezone.now() + timedelta(seconds=overlap_seconds) if overlap_seconds else None,
        encrypted_secret=encrypt(_new_secret()),
    )


def send_test(webhook: Webhook) -> Delivery:
    """Post a test event immediately, without retries.

    Raises:
        AnotherTestWaits: The previous test event has not been posted yet.
        WebhookEnded: The webhook has ended.
    """
    if Delivery.objects.filter(webhook=webhook, type=EVENT_TEST, next_at__isnull=False).exists():
        raise AnotherTestWaits
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    event_id = f"test-{uuid7()}"
    body = json.dumps({"eventId": event_id, "type": EVENT_TEST, "at": now, "trade": None, "corporateAction": None})
    with transaction.atomic(durable=True):
        _update(webhook, due_at=Now(), retry_at=None)
        return Delivery.objects.create(webhook=webhook, event_id=event_id, type=EVENT_TEST, body=body)


def resend(webhook: Webhook, delivery: Delivery) -> Delivery:
    """Resend one delivery, whatever its outcome was, with all its attempts.

    Raises:
        WebhookEnded: The webhook has ended.
    """
    with transaction.atomic(durable=True):
        _update(webhook, due_at=Now(), retry_at=None)
        Delivery.objects.filter(pk=delivery.pk).update(next_at=Now(), delivered_at=None, attempts=0)
    delivery.refresh_from_db()
    return delivery


def find_range(webhook: Webhook, after: Cursor, until: Cursor | None = None) -> tuple[list[Event], str | None]:
    """Find the customer's events after one event up to and including another, even if they were never posted.

    Returns:
        RESENT_AT_ONCE_MAX events at most, and the id of the last one if there may be more.
    """
    (events,) = reader.read([(webhook.customer_id, after)], reader.latest_cursor(), RESENT_AT_ONCE_MAX)
    in_range = [event for event in events if until is None or event.cursor <= until]
    return in_range, in_range[-1].id if events.may_be_more and len(in_range) == len(events) else None


def resend_events(webhook: Webhook, events: Iterable[Event]) -> None:
    """Resend events of the webhook's customer.

    Raises:
        WebhookEnded: The webhook has ended.
    """
    with transaction.atomic(durable=True):
        _update(webhook, due_at=Now(), retry_at=None)
        reenter_events(webhook, events)


def _update(webhook: Webhook, **changes: object) -> Webhook:
    if not Webhook.objects.filter(pk=webhook.pk).exclude(status=Webhook.Status.ENDED).update(**changes):
        raise WebhookEnded
    webhook.refresh_from_db()
    return webhook


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()
