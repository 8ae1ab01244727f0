"""A customer's webhooks: add one, test one."""

import json
import secrets
from base64 import b64encode

from django.utils import timezone
from uuid_utils.compat import uuid7

from feed import reader
from webhooks.addresses import resolve
from webhooks.models import Delivery, Webhook

WEBHOOKS_MAX = 10  # of one customer
EVENT_TEST = "webhook.test"


class TooManyWebhooks(Exception):
    """The customer has WEBHOOKS_MAX of them."""


def add(customer_id: int, url: str) -> Webhook:
    """A new webhook, for events from now on. Again: another one. Raises AddressRefused, TooManyWebhooks."""
    resolve(url)
    if Webhook.objects.filter(customer_id=customer_id).count() >= WEBHOOKS_MAX:
        raise TooManyWebhooks
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    place = reader.now()
    return Webhook.objects.create(customer_id=customer_id, url=url, secret=secret, xact=place.xact, change=place.change)


def test(webhook: Webhook) -> Delivery:
    """Enter a delivery that is about nothing. Again: another one."""
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    event_id = f"test-{uuid7()}"
    body = json.dumps({"eventId": event_id, "type": EVENT_TEST, "at": now, "trade": None})
    return Delivery.objects.create(webhook=webhook, event_id=event_id, type=EVENT_TEST, body=body)
