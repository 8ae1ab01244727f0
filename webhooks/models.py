"""Where customers want their events posted, and what was posted there."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Webhook(models.Model):
    """Where a customer wants their events posted. (`xact`, `change`) is the place in the feed up to which they were
    entered as deliveries; the secret signs them, so it is kept as it is."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    url = models.CharField(max_length=500)
    secret = models.CharField(max_length=80, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    xact = models.BigIntegerField(editable=False)
    change = models.BigIntegerField(editable=False)

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One event for one webhook: `next_at` while it is to be tried, null once it was delivered or given up."""

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries", db_index=False)
    event_id = models.CharField(max_length=64)
    type = models.CharField(max_length=32)
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField(null=True, db_default=Now())
    delivered_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=200, blank=True, default="", help_text="What the last attempt met with.")

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(name="one_delivery_an_event", fields=["webhook", "event_id"])]
        indexes = [
            models.Index(name="deliveries_of_webhook", fields=["webhook", "-id"]),
            models.Index(name="deliveries_due", fields=["next_at"], condition=Q(next_at__isnull=False)),
            models.Index(name="deliveries_given_up", fields=["webhook"], condition=Q(next_at=None, delivered_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
