"""Trading controls: what staff have halted, restricted, or limited."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import MONEY


class TradingControl(models.Model):
    """A halt, a restriction, or a limit that staff have set or lifted.

    The newest row of a kind and subject is in force; older rows are the history. The subject is `ticker` or `customer`,
    if the kind has one. A limit without a customer applies to everybody. `value` is the limit in shares, USD, or orders
    per minute.
    """

    class Kind(models.TextChoices):
        HALT_ALL = "halt_all", "Halt all trading"
        HALT_CUSTOMER = "halt_customer", "Halt a customer"
        HALT_TICKER = "halt_ticker", "Halt a stock"
        RESTRICT_TICKER = "restrict_ticker", "Restrict a stock"
        SHARES_MAX = "shares_max", "Maximum shares per order"
        NOTIONAL_MAX = "notional_max", "Maximum USD per order, at the last price"
        ORDERS_A_MINUTE_MAX = "orders_a_minute_max", "Maximum orders per minute and customer"

    kind = models.CharField(max_length=24, choices=Kind)
    ticker = models.CharField(max_length=12, blank=True, default="")
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    is_on = models.BooleanField("on", default=True)
    value = models.DecimalField(**MONEY, null=True, blank=True, help_text="Shares, USD, or orders per minute.")
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", editable=False)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "trading control"
        constraints = [
            models.CheckConstraint(
                name="control_has_its_subject",
                condition=Q(kind="halt_all", ticker="", customer=None)
                | Q(kind="halt_customer", ticker="", customer__isnull=False)
                | (Q(kind__in=["halt_ticker", "restrict_ticker"], customer=None) & ~Q(ticker=""))
                | Q(kind__in=["shares_max", "notional_max", "orders_a_minute_max"], ticker=""),
            ),
            models.CheckConstraint(
                name="control_has_its_value",
                condition=Q(kind__in=["shares_max", "notional_max", "orders_a_minute_max"])
                & Q(is_on=True, value__isnull=False, value__gt=0)
                | Q(is_on=False, value=None)
                | (~Q(kind__in=["shares_max", "notional_max", "orders_a_minute_max"]) & Q(value=None)),
            ),
        ]
        triggers = [pgtrigger.Protect(name="controls_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.ticker} {'on' if self.is_on else 'off'}"
