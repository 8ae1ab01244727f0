"""What only this API keeps for a customer: the account's configuration."""

from django.conf import settings
from django.db import models


class Configuration(models.Model):
    """What a customer set for the programs that trade by this API. No row: everything is as the defaults say."""

    customer = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    suspend_trade = models.BooleanField(default=False, help_text="Refuse new orders from this API.")

    def __str__(self) -> str:
        return "suspended" if self.suspend_trade else "trading"
