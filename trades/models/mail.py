"""Which customers wait for an email about trades that have ended."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class TradeMail(models.Model):
    """The trades that a customer's next email is about, and when it is due (None: there are none).

    They are the trades that ended from the status change `first`, which the transaction `xact` wrote, to the status
    change `last`. See `trades.mails`.
    """

    customer = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    xact = models.BigIntegerField()
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    due_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True, help_text="When the customer was last mailed about trades.")

    class Meta:
        indexes = [models.Index(name="trade_mails_due", fields=["due_at"], condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"mail about trades of customer {self.pk}"
