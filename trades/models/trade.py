"""Trades: what customers place, the numbers of their lines, and the history of status changes."""

from datetime import date
from decimal import Decimal

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex, BTreeIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import MONEY, LotMethod
from accounts.money import money
from exchange import calendar


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


class WhenClosed(models.TextChoices):
    """What to do with a trade whose turn comes while the market is closed."""

    REJECT = "reject", "It is sent, and the exchange rejects it."
    QUEUE = "queue", "It waits for the next session to open."


class TimeInForce(models.TextChoices):
    """How long an order is good for, as a client of the Alpaca-compatible API asked. It has no effect on execution."""

    DAY = "day"
    GTC = "gtc"


class Reason(models.TextChoices):
    """Why a trade was REJECTED: a code for programs and a sentence for people."""

    INSUFFICIENT_FUNDS = "insufficient_funds", "Not enough cash was available to buy this many shares."
    UNSETTLED_FUNDS = (
        "unsettled_funds",
        "Not enough of the cash had settled, and the account buys with settled cash only.",
    )
    INSUFFICIENT_SHARES = "insufficient_shares", "Not enough shares were available to sell this many."
    PAST_MARKET_HOURS = "past_market_hours", "The market was closed."
    PRICE_MOVED = "price_moved", "The price rose too far above the last price before the trade could execute."
    CORPORATE_ACTION = "corporate_action", "A split or another corporate action changed the stock."
    EXCHANGE_ERROR = "exchange_error", "The exchange could not execute the trade."
    UNKNOWN_TICKER = "unknown_ticker", "The exchange does not list this stock."
    TICKER_HALTED = "ticker_halted", "Trading in this stock was halted."
    EXPIRED = "expired", "The exchange did not execute the trade in time. It will not be executed anymore."
    CANCELLED = "cancelled", "The trade was cancelled before it was sent to the exchange."


class TradeCounter(models.Model):
    """The sequence number of a customer's last trade.

    Placing a trade draws the next number and keeps the row locked until the commit. So the numbers are in the order of
    the commits, whichever server took the order. Turns never lock this row.
    """

    customer = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True)
    last = models.BigIntegerField()
    # The highest `xact` of the customer's status changes to PLACED.
    xact = models.BigIntegerField(db_default=0, editable=False)
    placed_at = models.DateTimeField(null=True, editable=False, help_text="When the last trade was placed.")

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
    """A market order of a customer.

    `sequence` numbers the customer's trades from 1 without a gap, in the order in which they were placed. `max_price`
    and `expires_at` are fixed when the trade becomes IN PROGRESS, and are sent to the exchange: the most that a BUY may
    cost in total (its hold, USD), and the time until which the exchange may execute it. The hold of a BUY is its
    quantity at `collar_price`, or all available cash if that is less or if no price was known.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, db_index=False)
    sequence = models.BigIntegerField()
    ticker = models.CharField(max_length=12)
    placed_as = models.CharField(
        max_length=12, null=True, help_text="The ticker that it was placed under, if the stock has another one since."
    )
    type = models.CharField(max_length=4, choices=Type)
    quantity = models.BigIntegerField()
    idempotency_key = models.CharField(max_length=128, null=True)
    placed_at = models.DateTimeField(db_default=Now())
    status = models.CharField(max_length=11, choices=Status, default=Status.PLACED)
    when_closed = models.CharField(
        max_length=6, choices=WhenClosed, default=WhenClosed.REJECT, db_default=WhenClosed.REJECT
    )
    time_in_force = models.CharField(
        max_length=3, null=True, choices=TimeInForce, help_text="As sent by the client; empty: the client sent none."
    )
    queued_at = models.DateTimeField(
        null=True, help_text="When it began to wait for the opening: when it was placed, or when its turn came."
    )

    max_price = models.DecimalField(**MONEY, null=True)
    last_price = models.DecimalField(
        **MONEY, null=True, help_text="The stock's last price when a BUY was claimed, USD."
    )
    collar = models.DecimalField(
        max_digits=5, decimal_places=4, null=True, help_text="How far above the last price a BUY may go: 0.05 is 5%."
    )
    expires_at = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    ask_at = models.DateTimeField(null=True, help_text="When the sweep next asks the exchange about it.")
    unanswered = models.SmallIntegerField(
        default=0, db_default=0, editable=False, help_text="Consecutive questions that the exchange did not answer."
    )

    price = models.DecimalField(**MONEY, null=True, help_text="USD per share.")
    amount = models.DecimalField(**MONEY, null=True, help_text="USD in total.")
    reason_code = models.CharField(max_length=32, blank=True, default="", choices=Reason)
    settled_at = models.DateTimeField(null=True)
    executed_at = models.DateTimeField(null=True, help_text="When the exchange executed it, by its own clock.")
    fees = models.JSONField(
        null=True, help_text="USD by kind of fee, once FILLED. Empty for fills from before fees existed."
    )
    lot_method = models.CharField(max_length=12, null=True, choices=LotMethod, help_text="Which lots a SELL closes.")
    settles_on = models.DateField(
        null=True, help_text="The Eastern settlement date. Empty for fills from before it was stored."
    )

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
                # A comparison with NULL is unknown, which passes a check, so required columns must be tested for NULL.
                | (
                    Q(status=Status.FILLED, reason_code="", claimed_at__isnull=False, settled_at__isnull=False)
                    & Q(price__isnull=False, price__gt=0, amount__isnull=False, amount__gt=0)
                    & (Q(type=Type.SELL) | Q(max_price__isnull=False, amount__lte=F("max_price")))
                )
                | Q(status=Status.REJECTED, price=None, amount=None, settled_at__isnull=False)
                & Q(reason_code__in=Reason.values),
            ),
            models.CheckConstraint(
                name="queued_trade_may_wait",
                condition=Q(when_closed=WhenClosed.QUEUE) | Q(when_closed=WhenClosed.REJECT, queued_at=None),
            ),
            models.CheckConstraint(
                name="collar_has_its_price",
                condition=Q(last_price=None, collar=None)
                | Q(type=Type.BUY, claimed_at__isnull=False)
                & Q(last_price__isnull=False, last_price__gt=0, collar__isnull=False, collar__gte=0),
            ),
        ]
        indexes = [
            models.Index(name="placed_in_line", fields=["customer", "sequence"], condition=Q(status=Status.PLACED)),
            # Trades that wait for the opening are in an index of their own, so that they cost nothing until then.
            models.Index(
                name="placed_not_queued",
                fields=["placed_at"],
                include=["customer"],
                condition=Q(status=Status.PLACED, queued_at__isnull=True),
            ),
            models.Index(
                name="queued_customers",
                fields=["customer"],
                condition=Q(status=Status.PLACED, queued_at__isnull=False),
            ),
            # Only rejected trades: the back office filters all trades ever placed by reason.
            models.Index(name="rejected_by_reason", fields=["reason_code", "-id"], condition=~Q(reason_code="")),
            # For trades.search. Only final trades, so that each trade is inserted once, when it ends.
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
                condition=pgtrigger.Q(old__status__in=sorted(FINAL)),
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
                & (pgtrigger.Q(new__placed_as__isnull=True) | ~pgtrigger.Q(old__status=Status.PLACED))
                | pgtrigger.Q(old__type__df=pgtrigger.F("new__type"))
                | pgtrigger.Q(old__quantity__df=pgtrigger.F("new__quantity"))
                | pgtrigger.Q(old__when_closed__df=pgtrigger.F("new__when_closed"))
                | pgtrigger.Q(old__time_in_force__df=pgtrigger.F("new__time_in_force"))
                | pgtrigger.Q(old__placed_at__df=pgtrigger.F("new__placed_at"))
                | pgtrigger.Q(old__idempotency_key__df=pgtrigger.F("new__idempotency_key")),
            ),
            pgtrigger.Protect(
                name="sent_terms_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status=Status.IN_PROGRESS)
                & (
                    pgtrigger.Q(old__max_price__df=pgtrigger.F("new__max_price"))
                    | pgtrigger.Q(old__last_price__df=pgtrigger.F("new__last_price"))
                    | pgtrigger.Q(old__collar__df=pgtrigger.F("new__collar"))
                    | pgtrigger.Q(old__expires_at__df=pgtrigger.F("new__expires_at"))
                    | pgtrigger.Q(old__claimed_at__df=pgtrigger.F("new__claimed_at"))
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.quantity} {self.ticker}"

    @property
    def hold(self) -> Decimal:
        """The cash set aside for a BUY in flight, which is the most it may cost, USD."""
        return self.max_price or Decimal(0)

    @property
    def collar_price(self) -> Decimal | None:
        """The most that a share may cost by the collar, USD; None for a SELL, or if no price was known."""
        if self.last_price is None or self.collar is None:
            return None
        return money(self.last_price * (1 + self.collar))

    @property
    def is_held_by_collar(self) -> bool:
        """Whether the collar set the hold of a BUY, and not the available cash."""
        price = self.collar_price
        return price is not None and self.max_price == price * self.quantity

    @property
    def fee(self) -> Decimal | None:
        """The total of its fees, USD; None unless it was executed."""
        return sum(map(Decimal, (self.fees or {}).values()), Decimal(0)) if self.status == Status.FILLED else None

    @property
    def net_amount(self) -> Decimal | None:
        """The cash that it moved, USD: the cost of a BUY plus fees, or the proceeds of a SELL less fees."""
        if self.amount is None or self.fee is None:
            return None
        return self.amount + self.fee if self.type == Type.BUY else self.amount - self.fee

    @property
    def trade_date(self) -> date | None:
        """The Eastern date on which it was executed; None unless it was."""
        at = (self.executed_at or self.settled_at) if self.status == Status.FILLED else None
        return None if at is None else calendar.eastern_date(at)

    @property
    def settlement_date(self) -> date | None:
        """The Eastern date on which its cash and shares settle; None unless it was executed."""
        traded_on = self.trade_date
        return traded_on and (self.settles_on or calendar.settlement_date(traded_on))

    @property
    def reason(self) -> str:
        """Why it was REJECTED, as a sentence; empty unless it was."""
        return Reason(self.reason_code).label if self.reason_code else ""


class ThisTransaction(models.Func):
    """The id of the current transaction. PostgreSQL never uses an id twice."""

    template = "(pg_current_xact_id()::text::bigint)"
    output_field = models.BigIntegerField()


class NextChange(models.Func):
    """The next id of a status change."""

    template = "nextval(pg_get_serial_sequence('trades_statuschange', 'id'))"
    output_field = models.BigIntegerField()


class StatusChange(models.Model):
    """One status change of a trade: from, to, when, why, and by which process. Rows are never changed or deleted.

    A trade reaches each status once, so the two are the key. `id` has the order in which rows were written.
    `from_status` is empty for the first one. Each row is also an event of the customer's feed (`feed.reader`), whose
    order is (`xact`, `id`). `xact` is the id of the transaction that wrote the row, or that of the customer's previous
    status change if it is higher. It shows when no row can appear before this one anymore.
    """

    # The constraint `each_status_once` is the key in the database too.
    pk = models.CompositePrimaryKey("trade", "to_status")
    id = models.BigIntegerField(db_default=NextChange(), editable=False)
    # No index of its own, because the unique constraint below begins with it.
    trade = models.ForeignKey(Trade, models.PROTECT, related_name="status_changes", db_index=False)
    from_status = models.CharField(max_length=11, blank=True)
    to_status = models.CharField(max_length=11, choices=Status)
    at = models.DateTimeField(db_default=Now())
    reason = models.CharField(max_length=500, blank=True)
    by = models.CharField(max_length=80)
    customer_id = models.BigIntegerField()
    xact = models.BigIntegerField(db_default=ThisTransaction(), editable=False)

    class Meta:
        indexes = [
            # Few of a customer's changes have the same `xact`, and they are sorted by id when they are read.
            BTreeIndex(name="events_of_customer", fields=["customer_id", "xact"], deduplicate_items=False),
            # Rows are only ever added, in the order of id, so one entry for many pages is enough to find the newest.
            BrinIndex(name="status_changes_by_id", fields=["id"], autosummarize=True),
        ]
        constraints = [models.UniqueConstraint(name="each_status_once", fields=["trade", "to_status"])]
        triggers = [pgtrigger.Protect(name="status_changes_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.from_status or '·'} → {self.to_status}"
