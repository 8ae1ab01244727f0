"""Webhooks and their deliveries."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import Token
from web.encryption import decrypt


class Webhook(models.Model):
    """A URL to which a customer's events are posted.

    Attributes:
        xact, change: The cursor in the feed up to which events were entered as deliveries.
        due_at: When the next delivery is due; null if none is waiting.
        retry_at: After a failure, when to call the receiver again.
        leased_until: Until then, only the process that took the lease posts to it.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"  # by its owner; events wait in the feed
        FAILING = "failing", "Failing"  # only failures for a while; tried periodically until it works again
        ENDED = "ended", "Ended"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    slot = models.SmallIntegerField(editable=False)  # one of the customer's WEBHOOKS_MAX slots, from 0
    token = models.ForeignKey(Token, models.CASCADE, null=True, related_name="webhooks")  # null: created on a page
    url = models.CharField(max_length=500)
    events = ArrayField(models.CharField(max_length=32), default=list, blank=True)  # empty: all
    encrypted_secret = models.TextField(editable=False)
    encrypted_previous_secret = models.TextField(blank=True, default="", editable=False)
    previous_secret_until = models.DateTimeField(null=True, editable=False)
    idempotency_key = models.CharField(max_length=128, null=True, editable=False)
    idempotency_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    status = models.CharField(max_length=8, choices=Status, default=Status.ACTIVE)
    status_reason = models.CharField(max_length=200, blank=True, default="")
    status_at = models.DateTimeField(db_default=Now())
    xact = models.BigIntegerField(editable=False)
    change = models.BigIntegerField(editable=False)
    entered_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    retry_at = models.DateTimeField(null=True, editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    failures = models.IntegerField(default=0, editable=False)  # in a row
    failing_since = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_webhook_a_slot", fields=["customer", "slot"]),
            models.UniqueConstraint(name="one_webhook_a_key", fields=["customer", "idempotency_key"]),
        ]
        indexes = [
            models.Index(name="webhooks_due", fields=["due_at"], condition=Q(due_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def secret(self) -> str:
        """The secret that signs the posts.

        Raises:
            Undecryptable: It was encrypted with a SECRET_KEY that we no longer have.
        """
        return decrypt(self.encrypted_secret)


class Delivery(models.Model):
    """One event for one webhook. `next_at` is the time of the next attempt: null after delivery or when given up."""

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries", db_index=False)
    event_id = models.CharField(max_length=64)
    type = models.CharField(max_length=32)
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField(null=True, db_default=Now())
    delivered_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=200, blank=True, default="", help_text="The result of the last attempt.")

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(name="one_delivery_an_event", fields=["webhook", "event_id"])]
        indexes = [
            models.Index(name="deliveries_of_webhook", fields=["webhook", "-id"]),
            models.Index(name="deliveries_waiting", fields=["webhook", "next_at"], condition=Q(next_at__isnull=False)),
            models.Index(name="deliveries_given_up", fields=["webhook"], condition=Q(next_at=None, delivered_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
