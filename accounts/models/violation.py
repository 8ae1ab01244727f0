"""Good-faith violations: sales of shares before the cash that paid for them had settled."""

from datetime import date

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models.customer import Customer
from accounts.models.lot import Lot


class GoodFaithViolation(models.Model):
    """A sale of shares that were bought with unsettled proceeds, before the proceeds had settled.

    `number` counts the customer's violations within 12 months, including this one. If it is one too many, it has
    `restricts_until`: until that day, the account buys with settled cash only, unless staff lift the restriction.
    """

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    ticker = models.CharField(max_length=12)
    cause = models.UUIDField(unique=True, help_text="The sale.")
    lot = models.ForeignKey(
        Lot, models.PROTECT, related_name="+", db_index=False, help_text="The sold lot whose payment settles last."
    )
    bought_on = models.DateField(help_text="The trade date, Eastern.")
    sold_on = models.DateField(help_text="The trade date, Eastern.")
    settles_on = models.DateField(help_text="When the last of the proceeds that paid for the shares settle.")
    number = models.IntegerField()
    restricts_until = models.DateField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="+", db_index=False)
    lift_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="violation_was_too_early",
                condition=Q(bought_on__lt=F("settles_on"), sold_on__lt=F("settles_on"), number__gt=0),
            ),
            models.CheckConstraint(
                name="restriction_is_lifted_once",
                condition=Q(lifted_at=None, lifted_by=None, lift_reason="")
                | Q(restricts_until__isnull=False, lifted_at__isnull=False, lifted_by__isnull=False)
                & ~Q(lift_reason=""),
            ),
        ]
        indexes = [models.Index(name="violations_of_customer", fields=["customer", "-sold_on"])]
        triggers = [
            pgtrigger.Protect(name="violations_are_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="violations_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["lifted_at", "lifted_by", "lift_reason"]),
            ),
            pgtrigger.Protect(
                name="lifted_restrictions_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__lifted_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ticker} sold on {self.sold_on}, paid for on {self.settles_on}"

    @property
    def sentence(self) -> str:
        """What happened, as a sentence for the customer."""
        return (
            f"You sold {self.ticker} on {_day(self.sold_on)} that you had bought on {_day(self.bought_on)} "
            f"with proceeds that settle on {_day(self.settles_on)}."
        )


def _day(day: date) -> str:
    return f"{day:%b} {day.day}, {day.year}"
