"""Queries for webhooks, for their owner and for staff."""

from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from webhooks.models import Delivery, Webhook


@dataclass(frozen=True, slots=True)
class WebhookWithLast:
    """A webhook and its newest delivery, if any."""

    hook: Webhook
    last: Delivery | None


def with_last_delivery(customer_id: int) -> list[WebhookWithLast]:
    """Return a customer's webhooks, oldest first, each with its newest delivery and the token that created it."""
    newest = Delivery.objects.filter(webhook=OuterRef("pk")).order_by("-id").values("id")[:1]
    hooks = Webhook.objects.filter(customer_id=customer_id).select_related("token").order_by("id")
    webhooks = list(hooks.annotate(newest=Subquery(newest)))
    last = Delivery.objects.in_bulk([hook.newest for hook in webhooks if hook.newest])
    return [WebhookWithLast(hook, last.get(hook.newest)) for hook in webhooks]
