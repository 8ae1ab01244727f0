"""Lots: shares with their purchase date and cost, and closings with their gains."""

from datetime import date

import pgtrigger
from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7

from accounts.models.books import MONEY
from accounts.models.customer import Customer


class Lot(models.Model):
    """Shares of one stock that came in together, such as by a purchase. Sales close lots.

    `cost` is the total cost of all `quantity` shares with fees, USD, and `remaining_cost` that of the `remaining` ones.
    `cause` is that of the posting. If the lot continues another one after a corporate action, that one is its `origin`.
    `paid_with_until` is the day on which all cash that paid for it has settled; if it was settled cash, the trade date.
    Selling earlier is a good-faith violation. It is empty if nothing was paid, and in lots opened before it was
    recorded.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    ticker = models.CharField(max_length=12)
    cause = models.UUIDField()
    acquired_on = models.DateField(help_text="The trade date, Eastern.")
    quantity = models.BigIntegerField()
    cost = models.DecimalField(**MONEY)
    remaining = models.BigIntegerField()
    remaining_cost = models.DecimalField(**MONEY)
    origin = models.UUIDField(null=True)
    paid_with_until = models.DateField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="lot_has_no_more_than_was_bought",
                condition=Q(quantity__gt=0, remaining__gte=0, remaining__lte=F("quantity"))
                & Q(remaining_cost__gte=0, remaining_cost__lte=F("cost"), cost__lt=10**15),
            ),
        ]
        indexes = [
            models.Index(
                name="open_lots", fields=["customer", "ticker", "acquired_on", "id"], condition=Q(remaining__gt=0)
            ),
            models.Index(name="lots_of_stock", fields=["customer", "ticker", "acquired_on"]),
        ]
        triggers = [
            pgtrigger.Protect(name="lots_are_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="lots_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["remaining", "remaining_cost"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remaining} of {self.quantity} {self.ticker}"

    @property
    def unpaid_until(self) -> date | None:
        """The day before which selling it is a good-faith violation; None if settled cash paid for it."""
        until = self.paid_with_until
        return until if until and until > self.acquired_on else None


class LotClosing(models.Model):
    """The part of a lot that one posting closed. After a sale, it has proceeds (USD, net of fees) and a gain."""

    lot = models.ForeignKey(Lot, models.PROTECT, related_name="closings", db_index=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    ticker = models.CharField(max_length=12)
    cause = models.UUIDField()
    acquired_on = models.DateField()
    closed_on = models.DateField(help_text="The trade date, Eastern.")
    quantity = models.BigIntegerField()
    cost = models.DecimalField(**MONEY)
    proceeds = models.DecimalField(**MONEY, null=True)
    gain = models.DecimalField(**MONEY, null=True)
    is_long_term = models.BooleanField()

    class Meta:
        constraints = [
            # Begins with the lot, so that the foreign key needs no index of its own.
            models.UniqueConstraint(name="one_closing_a_cause", fields=["lot", "cause"]),
            models.CheckConstraint(
                name="closing_adds_up",
                condition=Q(quantity__gt=0, cost__gte=0)
                & (
                    Q(proceeds=None, gain=None)
                    | Q(proceeds__isnull=False, gain__isnull=False, gain=F("proceeds") - F("cost"))
                ),
            ),
        ]
        indexes = [
            models.Index(name="closings_of_customer", fields=["customer", "closed_on", "id"]),
            models.Index(name="closings_of_stock", fields=["customer", "ticker", "closed_on", "id"]),
        ]
        triggers = [pgtrigger.Protect(name="closings_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.quantity} {self.ticker}, {self.closed_on}"
