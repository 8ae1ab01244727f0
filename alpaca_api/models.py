"""What only this API keeps for a customer: watchlists, and the account's configuration."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Watchlist(models.Model):
    """A customer's named list of stocks, in the order in which they were added."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=64)
    tickers = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(name="one_watchlist_a_name", fields=["customer", "name"])]

    def __str__(self) -> str:
        return self.name


class Configuration(models.Model):
    """What a customer set for the programs that trade by this API. No row: everything is as the defaults say."""

    customer = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    suspend_trade = models.BooleanField(default=False, help_text="Refuse new orders from this API.")
    trade_confirm_email = models.CharField(max_length=4, default="all")

    def __str__(self) -> str:
        return "suspended" if self.suspend_trade else "trading"
