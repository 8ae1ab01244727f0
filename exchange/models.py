"""What the exchange lists, as it last said; and what it was called for."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
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


class Call(models.Model):
    """One call to the exchange about trades, and what came of it. Execute carries a set, so one row is for many trades.

    `answers` has what was said of a trade where it is more than "accepted": {trade id: code}.
    """

    class Verb(models.TextChoices):
        EXECUTE = "execute", "Execute"
        ASK = "ask", "TradeExists"

    class Outcome(models.TextChoices):
        ANSWERED = "answered", "It answered"
        UNKNOWN = "unknown", "No answer that can be trusted"

    at = models.DateTimeField(db_default=Now(), help_text="When the answer, or none, was there.")
    verb = models.CharField(max_length=8, choices=Verb)
    trade_ids = ArrayField(models.UUIDField())
    outcome = models.CharField(max_length=8, choices=Outcome)
    answers = models.JSONField(default=dict)
    seen = models.CharField(max_length=300, blank=True, default="", help_text="What was seen instead of an answer.")
    took_ms = models.FloatField()

    class Meta:
        indexes = [
            GinIndex(name="calls_about_trade", fields=["trade_ids"]),
            models.Index(name="calls_by_time", fields=["-at"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_verb_display()} of {len(self.trade_ids)}"
