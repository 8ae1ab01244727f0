"""What the exchange lists, as it last said."""

from django.db import models
from django.db.models.functions import Now


class Stock(models.Model):
    """A stock that the exchange lists. Rows stay when a stock is delisted, for its name is still wanted."""

    ticker = models.CharField(max_length=12, primary_key=True)
    name = models.CharField(max_length=200)
    market = models.CharField(max_length=40, blank=True)
    industry = models.CharField(max_length=120, blank=True)
    listed = models.BooleanField(default=True)
    seen_at = models.DateTimeField(db_default=Now(), help_text="When the exchange last listed it.")

    def __str__(self) -> str:
        return f"{self.ticker} · {self.name}"
