"""Notices that customers get by email, and the kinds that they have switched off."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Notice(models.Model):
    """Something that happened in an account, to be mailed to its owner. `sent_at` is when it went into a mail."""

    class Kind(models.TextChoices):
        TRADES = "trades", "Trades that were filled or rejected"
        TRANSFERS = "transfers", "Deposits and withdrawals"
        STATEMENTS = "statements", "Monthly statements"
        SECURITY = "security", "Security of your account"
        ACCOUNT = "account", "Good-faith violations and restrictions of your account"

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=12, choices=Kind)
    cause = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=1000)
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(null=True, db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_notice_a_cause", fields=["customer", "kind", "cause"])]
        indexes = [models.Index(name="notices_due", fields=["due_at"], condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return self.title


class MutedNotice(models.Model):
    """A kind of notice that a customer has switched off."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=12, choices=Notice.Kind)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_mute_a_kind", fields=["customer", "kind"])]

    def __str__(self) -> str:
        return self.kind


class NoticePlace(models.Model):
    """How far a source of notices has been read: the id of the last row, in `place`.

    `seen` is the newest row so far. `place` moves there once every transaction below `xact` has ended, because a row
    with a lower id may appear until then.
    """

    name = models.CharField(max_length=40, primary_key=True)
    place = models.BigIntegerField()
    seen = models.BigIntegerField(db_default=0)
    xact = models.BigIntegerField(db_default=0)

    def __str__(self) -> str:
        return self.name
