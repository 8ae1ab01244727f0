"""Corporate actions: what companies do to their shares, and what each customer got by it."""

from decimal import Decimal

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import MONEY


class CorporateAction(models.Model):
    """A dividend, a split, or the end of a listing: announced by the exchange or entered by staff, and then approved.

    A split makes `denominator` shares `numerator`. `cursor` is the last customer to whom it has been applied, and
    `holders`, `shares` and `cash` count what has been done so far.
    """

    class Kind(models.TextChoices):
        CASH_DIVIDEND = "CASH_DIVIDEND", "Cash dividend"
        SPLIT = "SPLIT", "Split"
        TICKER_CHANGE = "TICKER_CHANGE", "Ticker change"
        DELISTING = "DELISTING", "Delisting"

    class State(models.TextChoices):
        ANNOUNCED = "announced"
        APPROVED = "approved"
        APPLYING = "applying"
        DONE = "done"
        DECLINED = "declined"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    announcement = models.CharField(max_length=128, unique=True, null=True, help_text="The exchange's id of it.")
    sequence = models.BigIntegerField(null=True, unique=True, help_text="Its number in the exchange's announcements.")
    kind = models.CharField(max_length=16, choices=Kind)
    ticker = models.CharField(max_length=12)
    ex_date = models.DateField()
    pay_date = models.DateField(null=True)
    amount_per_share = models.DecimalField(**MONEY, null=True, help_text="USD.")
    numerator = models.BigIntegerField(null=True)
    denominator = models.BigIntegerField(null=True)
    new_ticker = models.CharField(max_length=12, blank=True, default="")
    reference_price = models.DecimalField(**MONEY, null=True, help_text="USD for a share after a split.")
    entered_by = models.CharField(max_length=254, blank=True, default="", help_text="Empty: the exchange.")
    entered_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=State, default=State.ANNOUNCED)
    approved_by = models.CharField(max_length=254, blank=True, default="")
    began_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    cursor = models.BigIntegerField(default=0)
    holders = models.BigIntegerField(default=0)
    shares = models.BigIntegerField(default=0)
    cash = models.DecimalField(**MONEY, default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="corporate_action_has_its_terms",
                condition=Q(kind="CASH_DIVIDEND", amount_per_share__isnull=False, amount_per_share__gt=0)
                & Q(pay_date__isnull=False)
                | Q(kind="SPLIT", numerator__isnull=False, numerator__gt=0)
                & Q(denominator__isnull=False, denominator__gt=0)
                | Q(kind="TICKER_CHANGE") & ~Q(new_ticker="")
                | Q(kind="DELISTING"),
            ),
        ]
        indexes = [
            models.Index(
                name="corporate_actions_to_apply", fields=["ex_date"], condition=Q(state__in=["approved", "applying"])
            )
        ]
        triggers = [
            pgtrigger.Protect(name="corporate_actions_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="corporate_action_terms_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "kind", "ticker", "ex_date", "pay_date", "amount_per_share", "numerator", "denominator"
                ),
            ),
            pgtrigger.Protect(
                name="ended_corporate_actions_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state__in=["done", "declined"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.ticker}, {self.terms}"

    @property
    def terms(self) -> str:
        """What it is about: 0.25 USD a share on Nov 27, or 2 for 1."""
        if self.kind == self.Kind.CASH_DIVIDEND:
            return f"{self.amount_per_share} USD a share, ex {self.ex_date}, paid {self.pay_date}"
        if self.kind == self.Kind.SPLIT:
            return f"{self.numerator} for {self.denominator} on {self.ex_date}"
        return f"{self.new_ticker} on {self.ex_date}".strip()

    def outcome(self, shares: int) -> tuple[int, Decimal]:
        """Return what a customer with so many shares has after it, and the cash that it brings, USD, not rounded."""
        if self.kind == self.Kind.CASH_DIVIDEND and self.amount_per_share is not None:
            return shares, self.amount_per_share * shares
        if self.kind == self.Kind.SPLIT and self.numerator and self.denominator:
            whole, rest = divmod(shares * self.numerator, self.denominator)
            return whole, (self.reference_price or Decimal(0)) * rest / self.denominator
        return shares, Decimal(0)


class Entitlement(models.Model):
    """What one customer got by a corporate action: the cause of its postings. It never changes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    action = models.ForeignKey(CorporateAction, models.PROTECT, related_name="entitlements", db_index=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    shares = models.BigIntegerField(
        help_text="Shares that counted: at the close before the ex-date, or before a split."
    )
    shares_after = models.BigIntegerField(help_text="Shares after it.")
    cash = models.DecimalField(**MONEY, help_text="The dividend, or cash in lieu of a fraction, USD.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(name="one_entitlement", fields=["action", "customer"])]
        triggers = [pgtrigger.Protect(name="entitlements_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.shares} shares, {self.cash} USD"
