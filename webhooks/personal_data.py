"""A customer's webhooks as personal data: export and erase them."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from webhooks.models import Webhook


def sections(customer_id: int) -> Mapping[str, QuerySet[Any, Any]]:
    """Return a customer's webhooks."""
    webhooks = Webhook.objects.filter(customer_id=customer_id).order_by("pk")
    return {"webhooks": webhooks.values("id", "url", "events", "created_at", "status", "status_reason")}


def erase(customer_id: int) -> None:
    """Delete a customer's webhooks and their deliveries. Needs a transaction."""
    Webhook.objects.filter(customer_id=customer_id).delete()
