"""The data that only this API stores: the account's configuration."""

from django.conf import settings
from django.db import models


class Configuration(models.Model):
    """A customer's settings for programs that use this API. Without a row, the defaults apply."""

    customer = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    suspend_trade = models.BooleanField(default=False, help_text="Refuse new orders from this API.")

    def __str__(self) -> str:
        return "suspended" if self.suspend_trade else "trading"
