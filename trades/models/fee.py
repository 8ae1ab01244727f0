"""The schedule of regulatory fees, which the broker passes on at cost."""

from typing import Any

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import MONEY

RATE: dict[str, Any] = {"max_digits": 14, "decimal_places": 12}


class FeeRate(models.Model):
    """The rate of one kind of fee for trade dates from `first_day` to `last_day` (Eastern; open-ended if empty).

    If two rates of a kind cover the same day, the newer row is in force. Rows never change.
    """

    class Kind(models.TextChoices):
        SEC = "sec", "SEC fee (section 31)"
        TAF = "taf", "FINRA trading activity fee"
        CAT = "cat", "Consolidated audit trail fee"

    kind = models.CharField(max_length=4, choices=Kind)
    first_day = models.DateField()
    last_day = models.DateField(null=True)
    per_usd = models.DecimalField(**RATE, default=0, help_text="USD per USD of the amount.")
    per_share = models.DecimalField(**RATE, default=0, help_text="USD per share.")
    maximum = models.DecimalField(**MONEY, null=True, help_text="USD per trade.")
    source = models.CharField(max_length=500, help_text="The notice that set the rate.")
    by = models.CharField(max_length=80, help_text="The people who entered and approved it.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="fee_rate_makes_sense",
                condition=Q(per_usd__gte=0, per_usd__lt=1, per_share__gte=0, kind__in=["sec", "taf", "cat"])
                & (Q(maximum=None) | Q(maximum__gt=0))
                & (Q(last_day=None) | Q(last_day__gte=F("first_day")))
                & ~Q(source=""),
            ),
        ]
        triggers = [pgtrigger.Protect(name="fee_rates_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} from {self.first_day}"

    @property
    def is_for_purchases(self) -> bool:
        """Whether purchases pay it too. Sales pay every fee."""
        return self.kind == FeeRate.Kind.CAT
