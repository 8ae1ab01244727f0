"""Adjustments and freezes of accounts by staff."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Floor, Now
from uuid_utils.compat import uuid7

from accounts.models.books import CASH, MONEY
from accounts.models.customer import Customer


class Adjustment(models.Model):
    """Cash or shares that staff move into or out of an account. One person requests it, and another approves it.

    It moves cash if `ticker` is empty, otherwise whole shares of that stock; `price` is the cost of each added share.
    `approved` is None while it waits for a decision. An approved adjustment is the cause of one posting.
    """

    class Reason(models.TextChoices):
        GOODWILL = "goodwill", "Goodwill"
        FEE = "fee", "Fee, or a fee returned"
        DIVIDEND = "dividend", "Dividend or other corporate action"
        ERROR = "error", "Correction of an error of ours"
        BANK = "bank", "A transfer that the bank returned or corrected"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    ticker = models.CharField(max_length=12, blank=True, db_default=CASH, default=CASH)
    change = models.DecimalField(**MONEY, help_text="USD or shares: positive into the account, negative out of it.")
    price = models.DecimalField(**MONEY, null=True)
    reason_code = models.CharField(max_length=10, choices=Reason)
    reason = models.CharField(max_length=500)
    asked_by = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    approved = models.BooleanField(null=True)
    decided_by = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="adjustment_moves_something", condition=~Q(change=0)),
            models.CheckConstraint(
                name="adjustment_of_shares_is_of_whole_ones", condition=Q(ticker=CASH) | Q(change=Floor("change"))
            ),
            models.CheckConstraint(
                name="adjustment_has_a_price_for_added_shares",
                condition=Q(price=None) & (Q(ticker=CASH) | Q(change__lt=0))
                | ~Q(ticker=CASH) & Q(change__gt=0, price__isnull=False, price__gte=0, price__lt=10**15),
            ),
            models.CheckConstraint(name="nobody_decides_on_their_own", condition=~Q(decided_by=F("asked_by"))),
            models.CheckConstraint(
                name="adjustment_is_decided_by_somebody",
                condition=Q(approved=None, decided_by=None, decided_at=None)
                | Q(approved__isnull=False, decided_by__isnull=False, decided_at__isnull=False),
            ),
        ]
        indexes = [models.Index(name="adjustments_waiting", fields=["asked_at"], condition=Q(approved=None))]
        triggers = [
            pgtrigger.Protect(name="adjustments_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="decided_adjustments_stay", operation=pgtrigger.Update, condition=~pgtrigger.Q(old__approved=None)
            ),
            pgtrigger.Protect(
                name="adjustment_terms_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__customer__df=pgtrigger.F("new__customer"))
                | pgtrigger.Q(old__ticker__df=pgtrigger.F("new__ticker"))
                | pgtrigger.Q(old__change__df=pgtrigger.F("new__change"))
                | pgtrigger.Q(old__price__df=pgtrigger.F("new__price"))
                | pgtrigger.Q(old__reason_code__df=pgtrigger.F("new__reason_code"))
                | pgtrigger.Q(old__reason__df=pgtrigger.F("new__reason"))
                | pgtrigger.Q(old__asked_by__df=pgtrigger.F("new__asked_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.summary}, {self.get_reason_code_display()}"

    @property
    def summary(self) -> str:
        """The movement in words, such as "+12.5000 USD", "-3 AAPL" or "+5 AAPL at 187.2500 USD"."""
        if self.ticker == CASH:
            return f"{self.change:+,.4f} USD"
        at = "" if self.price is None else f" at {self.price:,.4f} USD"
        return f"{int(self.change):+,} {self.ticker}{at}"


class Freeze(models.Model):
    """A freeze of a customer's withdrawals, or its end. The newest row is in force; older rows are the history."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    is_on = models.BooleanField()
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(name="freezes_of_customer", fields=["customer", "-id"])]
        triggers = [pgtrigger.Protect(name="freezes_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return "frozen" if self.is_on else "not frozen"
