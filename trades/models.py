"""A trade, its history, and what the exchange said of it.

The database enforces what these docstrings promise: one trade of a customer in flight, no gap and no double in a
customer's line, no move but the allowed ones, no change of a final trade.
"""

from decimal import Decimal

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import MONEY


class Status(models.TextChoices):
    PLACED = "PLACED"
    IN_PROGRESS = "IN PROGRESS"
    FILLED = "FILLED"
    REJECTED = "REJECTED"


FINAL = (Status.FILLED, Status.REJECTED)
TRANSITIONS = {
    Status.PLACED: {Status.IN_PROGRESS, Status.REJECTED},
    Status.IN_PROGRESS: {Status.FILLED, Status.REJECTED},
}


class Type(models.TextChoices):
    BUY = "BUY"
    SELL = "SELL"


class Reason(models.TextChoices):
    """Why a trade was REJECTED: the code for programs, and the words for people."""

    INSUFFICIENT_FUNDS = "insufficient_funds", "Not enough cash was available to buy this many shares."
    INSUFFICIENT_SHARES = "insufficient_shares", "Fewer shares were held than were to be sold."
    PAST_MARKET_HOURS = "past_market_hours", "The market was closed."
    EXCHANGE_ERROR = "exchange_error", "The exchange could not execute the trade."
    UNKNOWN_TICKER = "unknown_ticker", "The exchange does not list this stock."
    TICKER_HALTED = "ticker_halted", "Trading in this stock was halted."
    EXPIRED = "expired", "The exchange did not execute the trade in time, and never will."
    CANCELLED = "cancelled", "The customer cancelled the trade before it was sent."


class TradeCounter(models.Model):
    """The number of a customer's last trade. Locked from the moment a placing draws the next one until it commits, so
    that the order of numbers is the order of commits, whichever server answered. Turns never lock it."""

    customer = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True)
    last = models.BigIntegerField()
    xact = models.BigIntegerField(db_default=0, editable=False)  # the highest that a PLACED move of the customer's has

    class Meta:
        triggers = [
            pgtrigger.Protect(
                name="counters_count_up",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__last__lte=pgtrigger.F("old__last")),
            ),
            pgtrigger.Protect(name="counters_stay", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return str(self.last)


class Trade(models.Model):
    """What a customer places. `sequence` numbers a customer's trades from 1 without a gap, in the order of placing.

    `max_price` and `expires_at` are the terms handed to the exchange, frozen when the trade becomes IN PROGRESS:
    what a BUY may cost in all (its hold, USD), and when the exchange must have executed it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, db_index=False)
    sequence = models.BigIntegerField()
    ticker = models.CharField(max_length=12)
    type = models.CharField(max_length=4, choices=Type)
    quantity = models.BigIntegerField()
    idempotency_key = models.CharField(max_length=128, null=True)
    placed_at = models.DateTimeField(db_default=Now())
    status = models.CharField(max_length=11, choices=Status, default=Status.PLACED)

    max_price = models.DecimalField(**MONEY, null=True)
    expires_at = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    ask_at = models.DateTimeField(null=True, help_text="When the sweep asks the exchange about it, unless it is final.")

    price = models.DecimalField(**MONEY, null=True, help_text="USD a share.")
    amount = models.DecimalField(**MONEY, null=True, help_text="USD in all.")
    reason_code = models.CharField(max_length=32, blank=True, default="", choices=Reason)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="trade_has_its_place_in_line", fields=["customer", "sequence"]),
            models.UniqueConstraint(
                name="one_trade_in_flight", fields=["customer"], condition=Q(status=Status.IN_PROGRESS)
            ),
            models.UniqueConstraint(
                name="one_trade_a_key",
                fields=["customer", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(
                name="trade_has_terms",
                condition=Q(quantity__gt=0, sequence__gt=0, type__in=Type.values) & ~Q(ticker=""),
            ),
            models.CheckConstraint(
                name="trade_is_as_its_status_says",
                condition=Q(status=Status.PLACED, claimed_at=None)
                & Q(price=None, amount=None, reason_code="", settled_at=None)
                | (
                    Q(status=Status.IN_PROGRESS, price=None, amount=None, reason_code="", settled_at=None)
                    & Q(claimed_at__isnull=False, expires_at__isnull=False, ask_at__isnull=False)
                    & (Q(type=Type.SELL, max_price=None) | Q(type=Type.BUY, max_price__isnull=False, max_price__gt=0))
                )
                # What is compared with NULL is unknown, which a check takes for true: so what must be there is named.
                | (
                    Q(status=Status.FILLED, reason_code="", claimed_at__isnull=False, settled_at__isnull=False)
                    & Q(price__isnull=False, price__gt=0, amount__isnull=False, amount__gt=0)
                    & (Q(type=Type.SELL) | Q(max_price__isnull=False, amount__lte=F("max_price")))
                )
                | Q(status=Status.REJECTED, price=None, amount=None, settled_at__isnull=False)
                & Q(reason_code__in=Reason.values),
            ),
        ]
        indexes = [
            models.Index(name="placed_in_line", fields=["customer", "sequence"], condition=Q(status=Status.PLACED)),
            models.Index(name="placed_by_age", fields=["placed_at"], condition=Q(status=Status.PLACED)),
            models.Index(name="to_ask_about", fields=["ask_at"], condition=Q(status=Status.IN_PROGRESS)),
            # Only what was rejected is in it: the back office looks for reasons among all trades there ever were.
            models.Index(name="rejected_by_reason", fields=["reason_code", "-id"], condition=~Q(reason_code="")),
            # For lists (trades.search). Of final trades alone: each is entered once, when it ends.
            models.Index(
                name="final_by_type",
                fields=["customer", "status", "type", "sequence"],
                condition=Q(status__in=[Status.FILLED, Status.REJECTED]),
            ),
            models.Index(
                name="final_by_ticker",
                fields=["customer", "status", "ticker", "type", "sequence"],
                condition=Q(status__in=[Status.FILLED, Status.REJECTED]),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="trades_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="trades_begin_placed",
                operation=pgtrigger.Insert,
                condition=~pgtrigger.Q(new__status=Status.PLACED),
            ),
            pgtrigger.Protect(
                name="final_trades_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=sorted(FINAL)),  # a set has no order
            ),
            pgtrigger.Protect(
                name="trades_go_forward",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status=Status.IN_PROGRESS, new__status=Status.PLACED)
                | pgtrigger.Q(old__status=Status.PLACED, new__status=Status.FILLED),
            ),
            pgtrigger.Protect(
                name="trade_terms_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__customer__df=pgtrigger.F("new__customer"))
                | pgtrigger.Q(old__sequence__df=pgtrigger.F("new__sequence"))
                | pgtrigger.Q(old__ticker__df=pgtrigger.F("new__ticker"))
                | pgtrigger.Q(old__type__df=pgtrigger.F("new__type"))
                | pgtrigger.Q(old__quantity__df=pgtrigger.F("new__quantity"))
                | pgtrigger.Q(old__placed_at__df=pgtrigger.F("new__placed_at"))
                | pgtrigger.Q(old__idempotency_key__df=pgtrigger.F("new__idempotency_key")),
            ),
            pgtrigger.Protect(
                name="sent_terms_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status=Status.IN_PROGRESS)
                & (
                    pgtrigger.Q(old__max_price__df=pgtrigger.F("new__max_price"))
                    | pgtrigger.Q(old__expires_at__df=pgtrigger.F("new__expires_at"))
                    | pgtrigger.Q(old__claimed_at__df=pgtrigger.F("new__claimed_at"))
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.quantity} {self.ticker}"

    @property
    def hold(self) -> Decimal:
        """The cash that a BUY in flight may cost and that is set aside for it, USD."""
        return self.max_price or Decimal(0)

    @property
    def reason(self) -> str:
        """Why it was REJECTED, for people; empty unless it was."""
        return Reason(self.reason_code).label if self.reason_code else ""


class ThisTransaction(models.Func):
    """The number of the transaction that is open; PostgreSQL never uses one again."""

    template = "(pg_current_xact_id()::text::bigint)"
    output_field = models.BigIntegerField()


class StatusChange(models.Model):
    """One step of a trade's history: from where (empty: nowhere yet), to where, when, why, by what. It stays.

    It is also an event of the customer's feed (feed.reader), in the order of (`xact`, `id`): `xact` is the number of
    the transaction that wrote it, or a higher one of a move of the customer's before it. It tells when no row before
    it can appear any more.
    """

    trade = models.ForeignKey(
        Trade, models.PROTECT, related_name="status_changes", db_index=False
    )  # each_status_once serves
    from_status = models.CharField(max_length=11, blank=True)
    to_status = models.CharField(max_length=11, choices=Status)
    at = models.DateTimeField(db_default=Now())
    reason = models.CharField(max_length=500, blank=True)
    by = models.CharField(max_length=80)
    customer_id = models.BigIntegerField()
    xact = models.BigIntegerField(db_default=ThisTransaction(), editable=False)

    class Meta:
        indexes = [models.Index(name="feed_of_customer", fields=["customer_id", "xact", "id"])]
        constraints = [models.UniqueConstraint(name="each_status_once", fields=["trade", "to_status"])]
        triggers = [pgtrigger.Protect(name="status_changes_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.from_status or '·'} → {self.to_status}"


class Outcome(models.TextChoices):
    """What became of a report."""

    WAITING = "waiting", "No turn has seen it yet."
    SETTLED = "settled", "It ended its trade."
    AGREES = "agrees", "Its trade had ended that way already."
    CONTRADICTS = "contradicts", "Its trade had ended another way: a person must look."
    BREAKS_TERMS = "breaks_terms", "It is not about what was ordered: a person must look."
    MALFORMED = "malformed", "It makes no sense: a person must look."
    UNKNOWN_TRADE = "unknown_trade", "It is about a trade that is not here: a person must look."


# A list, in this order, for a migration has it.
FOR_A_PERSON = ["breaks_terms", "contradicts", "malformed", "unknown_trade"]


class Report(models.Model):
    """The exchange's word on one trade, kept as it was said (`body`, JSON); the same word twice is kept once."""

    class Source(models.TextChoices):
        CALLBACK = "callback", "the exchange called back"
        ANSWER = "answer", "its answer to Execute"
        SWEEP = "sweep", "the sweep asked"

    trade_id = models.UUIDField(null=True)
    customer_id = models.BigIntegerField(null=True)
    digest = models.BinaryField(max_length=32, unique=True)
    body = models.TextField()
    source = models.CharField(max_length=8, choices=Source)
    received_at = models.DateTimeField(db_default=Now())
    outcome = models.CharField(max_length=13, choices=Outcome, default=Outcome.WAITING)
    reason = models.CharField(max_length=500, blank=True, default="")
    handled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="report_is_of_a_kind",
                condition=Q(source__in=["callback", "answer", "sweep"]) & Q(outcome__in=Outcome.values),
            ),
        ]
        indexes = [
            models.Index(name="reports_of_trade", fields=["trade_id"]),
            models.Index(
                name="reports_waiting", fields=["customer_id", "received_at"], condition=Q(outcome=Outcome.WAITING)
            ),
            models.Index(name="reports_for_a_person", fields=["id"], condition=Q(outcome__in=FOR_A_PERSON)),
        ]
        triggers = [
            pgtrigger.Protect(name="reports_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="report_words_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__body__df=pgtrigger.F("new__body"))
                | pgtrigger.Q(old__trade_id__df=pgtrigger.F("new__trade_id"))
                | pgtrigger.Q(old__customer_id__df=pgtrigger.F("new__customer_id"))
                | pgtrigger.Q(old__source__df=pgtrigger.F("new__source"))
                | pgtrigger.Q(old__received_at__df=pgtrigger.F("new__received_at"))
                | pgtrigger.Q(old__digest__df=pgtrigger.F("new__digest")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} report {self.pk}"


class TradingControl(models.Model):
    """A word of the staff on what may be traded. The newest of a kind and subject is in force; all of them stay.

    `ticker` and `customer` are the subject, as far as the kind has one; a limit without a customer is everybody's.
    `value` is the limit: shares, USD, or orders a minute.
    """

    class Kind(models.TextChoices):
        HALT_ALL = "halt_all", "Halt all trading"
        HALT_CUSTOMER = "halt_customer", "Halt a customer"
        HALT_TICKER = "halt_ticker", "Halt a stock"
        RESTRICT_TICKER = "restrict_ticker", "Restrict a stock: nothing of it is placed"
        SHARES_MAX = "shares_max", "Most shares of an order"
        NOTIONAL_MAX = "notional_max", "Most USD of an order, at the last price"
        ORDERS_A_MINUTE_MAX = "orders_a_minute_max", "Most orders of a customer in a minute"

    kind = models.CharField(max_length=24, choices=Kind)
    ticker = models.CharField(max_length=12, blank=True, default="")
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    is_on = models.BooleanField("on", default=True)
    value = models.DecimalField(**MONEY, null=True, blank=True, help_text="Shares, USD, or orders a minute.")
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
