"""Closing prices: what stocks were worth at the end of each month."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.books import MONEY


class ClosingPrice(models.Model):
    """The last price of a stock in a month, USD per share, as it was quoted then: not adjusted for later splits.

    Statements value shares at it. `day` is the last day of the month. The price is empty if the exchange knew none.
    Rows never change, so statements don't either.
    """

    day = models.DateField()
    ticker = models.CharField(max_length=12)
    price = models.DecimalField(**MONEY, null=True)
    is_last_known = models.BooleanField(
        default=False, db_default=False, help_text="The stock was no longer listed: the price is older than the month."
    )
    stored_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_closing_price", fields=["day", "ticker"]),
            models.CheckConstraint(name="closing_price_is_positive", condition=Q(price=None) | Q(price__gt=0)),
        ]
        triggers = [pgtrigger.Protect(name="closing_prices_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.ticker} on {self.day}: {self.price or 'no price'}"
