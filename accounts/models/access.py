"""Access of customers and their programs: tokens, and the sign-in history."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models.customer import Customer

SIGN_INS_KEPT_DAYS = 400  # a year, plus a month in which to ask about it


class Token(models.Model):
    """A grant for a program: a bearer token and a key pair, both for the same customer and scopes.

    Only hashes are stored. The secrets are long and random, so one round of SHA-256 is as good as a slow hash.
    """

    class Scope(models.TextChoices):
        READ = "read"
        TRADE = "trade"
        FUNDS = "funds"
        WEBHOOKS = "webhooks"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_id = models.CharField(max_length=32, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    allowed_addresses = models.JSONField(null=True, help_text="The networks that it may be used from; null: anywhere.")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, editable=False)
    idempotency_key = models.CharField(max_length=128, null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_token_a_key",
                fields=["customer", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SignIn(models.Model):
    """An entry of the sign-in history: a sign-in, a failed attempt, or the end of a session.

    Entries are kept for SIGN_INS_KEPT_DAYS. `session` is a name that a sign-in shares with the end of its session; it
    does not give access to the session. `second_factor` is whether a second factor was used. Attempts to sign in with
    an email address that has no account are not recorded.
    """

    class Kind(models.TextChoices):
        IN = "in", "signed in"
        WRONG_PASSWORD = "wrong_password", "wrong password"
        WRONG_CODE = "wrong_code", "wrong code"
        TOKEN = "token", "created a token with the password"
        ENDED = "ended", "session ended"
        EXPIRED = "expired", "session expired"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=16, choices=Kind)
    address = models.CharField(max_length=64, blank=True, help_text="The network address that it came from.")
    device = models.CharField(max_length=300, blank=True, help_text="The browser's User-Agent.")
    second_factor = models.BooleanField(default=False)
    session = models.CharField(max_length=12, blank=True)

    class Meta:
        verbose_name = "sign-in"
        indexes = [models.Index(name="sign_ins_of_customer", fields=["customer", "-id"])]
        triggers = [
            pgtrigger.Protect(name="sign_ins_stay", operation=pgtrigger.Update),
            pgtrigger.Protect(
                name="sign_ins_are_kept",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition(f"OLD.at > now() - interval '{SIGN_INS_KEPT_DAYS} days'"),
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
