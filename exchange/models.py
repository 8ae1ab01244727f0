"""The exchange's listed stocks and closures, as last read, and the calls to the exchange."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now


class Stock(models.Model):
    """A stock that is or was listed. Rows are kept after a delisting, because the name is still needed."""

    ticker = models.CharField(max_length=12, primary_key=True)
    name = models.CharField(max_length=200)
    market = models.CharField(max_length=40, blank=True)
    industry = models.CharField(max_length=120, blank=True)
    listed = models.BooleanField(default=True)
    seen_at = models.DateTimeField(db_default=Now(), help_text="When the exchange last listed it.")
    missing_since = models.DateTimeField(
        null=True, blank=True, help_text="When it disappeared from the exchange's list. It stays listed for a while."
    )
    last_price = models.DecimalField(
        max_digits=19, decimal_places=4, null=True, blank=True, help_text="USD per share, as last read."
    )
    last_price_at = models.DateTimeField(null=True, blank=True, help_text="When the exchange quoted the last price.")

    def __str__(self) -> str:
        return f"{self.ticker} · {self.name}"


class ShortList(models.Model):
    """A list from the exchange that was rejected because it lacked too many stocks: staff must decide.

    There is one row for each incident. `ended_at` is set when the list is complete again or staff accept it.
    """

    began_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now(), help_text="When the list was last this short.")
    ended_at = models.DateTimeField(null=True, blank=True)
    listed = models.IntegerField(help_text="The number of stocks listed before.")
    missing = ArrayField(models.CharField(max_length=12), help_text="The tickers missing from the list.")
    accepted_by = models.CharField(max_length=254, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                models.Value(1), name="one_short_list_at_a_time", condition=models.Q(ended_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{len(self.missing)} of {self.listed} stocks missing"


class Closure(models.Model):
    """A day, announced at short notice, on which the market is closed or closes early. Read it through `calendar`."""

    class Source(models.TextChoices):
        EXCHANGE = "exchange", "The exchange"
        STAFF = "staff", "Staff"

    day = models.DateField()
    closes = models.TimeField(null=True, blank=True, help_text="The early close, Eastern; empty: closed all day.")
    reason = models.CharField(max_length=200)
    source = models.CharField(max_length=8, choices=Source)
    by = models.CharField(max_length=254, blank=True, default="", help_text="The member of staff who entered it.")
    entered_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "source"], name="one_closure_a_day_and_source")]

    def __str__(self) -> str:
        return f"{self.day}: {'closed' if self.closes is None else f'closes at {self.closes:%H:%M}'}"


class Call(models.Model):
    """One call to the exchange about trades, and its outcome. A call to Execute is about many trades.

    `answers` has the trades for which the answer was more than "accepted": {trade id: code}.
    """

    class Verb(models.TextChoices):
        EXECUTE = "execute", "Execute"
        ASK = "ask", "TradeExists"

    class Outcome(models.TextChoices):
        ANSWERED = "answered", "It answered"
        UNKNOWN = "unknown", "No answer that can be trusted"

    at = models.DateTimeField(db_default=Now(), help_text="When the call ended.")
    verb = models.CharField(max_length=8, choices=Verb)
    trade_ids = ArrayField(models.UUIDField())
    outcome = models.CharField(max_length=8, choices=Outcome)
    answers = models.JSONField(default=dict)
    seen = models.CharField(max_length=300, blank=True, default="", help_text="What happened instead of an answer.")
    took_ms = models.FloatField()

    class Meta:
        indexes = [
            GinIndex(name="calls_about_trade", fields=["trade_ids"]),
            models.Index(name="calls_by_time", fields=["-at"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_verb_display()} of {len(self.trade_ids)}"


class ClockSkew(models.Model):
    """How many seconds the exchange's clock was ahead of the database's when last measured. There is a single row."""

    seconds = models.FloatField()
    measured_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(name="one_clock_skew", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return f"{self.seconds:+.3f} s"
