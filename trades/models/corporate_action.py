"""Corporate actions, and what each customer received from them."""

from decimal import Decimal

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import MONEY


class CorporateAction(models.Model):
    """A dividend, a split, a ticker change, or a delisting, announced by the exchange or entered by staff.

    It is applied only after approval. A split turns `denominator` shares into `numerator` shares. `cursor` is the last
    customer that it was applied to; `holders`, `shares` and `cash` add up what has been applied so far.
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
    announcement = models.CharField(max_length=128, unique=True, null=True, help_text="The exchange's id for it.")
    sequence = models.BigIntegerField(null=True, unique=True, help_text="Its number in the exchange's announcements.")
    kind = models.CharField(max_length=16, choices=Kind)
    ticker = models.CharField(max_length=12)
    ex_date = models.DateField()
    pay_date = models.DateField(null=True)
    amount_per_share = models.DecimalField(**MONEY, null=True, help_text="The dividend, USD per share.")
    numerator = models.BigIntegerField(null=True)
    denominator = models.BigIntegerField(null=True)
    new_ticker = models.CharField(max_length=12, blank=True, default="")
    reference_price = models.DecimalField(**MONEY, null=True, help_text="The price of a share after the split, USD.")
    entered_by = models.CharField(
        max_length=254, blank=True, default="", help_text="The member of staff; empty: the exchange."
    )
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
                    "kind",
                    "ticker",
                    "ex_date",
                    "pay_date",
                    "amount_per_share",
                    "numerator",
                    "denominator",
                    "new_ticker",
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
        """The terms in words, such as "0.25 USD a share, ex 2026-11-27, paid 2026-12-11" or "2 for 1 on 2026-11-27"."""
        if self.kind == self.Kind.CASH_DIVIDEND:
            return f"{self.amount_per_share} USD a share, ex {self.ex_date}, paid {self.pay_date}"
        if self.kind == self.Kind.SPLIT:
            return f"{self.numerator} for {self.denominator} on {self.ex_date}"
        return f"{self.new_ticker} on {self.ex_date}".strip()

    def outcome(self, shares: int) -> tuple[int, Decimal]:
        """Return the shares that a holder of this many has afterwards, and the cash it pays, USD, not rounded."""
        if self.kind == self.Kind.CASH_DIVIDEND and self.amount_per_share is not None:
            return shares, self.amount_per_share * shares
        if self.kind == self.Kind.SPLIT and self.numerator and self.denominator:
            whole, remainder = divmod(shares * self.numerator, self.denominator)
            return whole, (self.reference_price or Decimal(0)) * remainder / self.denominator
        return shares, Decimal(0)


class Entitlement(models.Model):
    """What one customer received from a corporate action, and the cause of its postings. It never changes.

    It is also an event of the customer's feed, at (`xact`, `event`). `event` comes from the same sequence as the ids of
    status changes. Both are empty in entitlements from before the feed had these events.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    action = models.ForeignKey(CorporateAction, models.PROTECT, related_name="entitlements", db_index=False)
    # It needs no index of its own, because the index of the feed begins with it.
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    shares = models.BigIntegerField(help_text="The shares held at the close before the ex-date, or before the split.")
    shares_after = models.BigIntegerField(help_text="The shares after the corporate action.")
    cash = models.DecimalField(**MONEY, help_text="The dividend, or cash in lieu of a fraction, USD.")
    cost = models.DecimalField(**MONEY, null=True, help_text="The cost of the shares that moved to a new ticker, USD.")
    at = models.DateTimeField(db_default=Now())
    xact = models.BigIntegerField(null=True, editable=False)
    event = models.BigIntegerField(null=True, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_entitlement", fields=["action", "customer"])]
        indexes = [models.Index(name="feed_of_entitlements", fields=["customer", "xact", "event"])]
        triggers = [pgtrigger.Protect(name="entitlements_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.shares} shares, {self.cash} USD"
