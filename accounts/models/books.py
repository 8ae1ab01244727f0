"""The books: balances, positions, and the postings and transfers that move them."""

from decimal import Decimal
from typing import Any

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models.customer import Customer
from accounts.money import money

MONEY: dict[str, Any] = {"max_digits": 19, "decimal_places": 4}  # USD; NUMERIC(19,4)
CASH = ""  # the ticker of a posting that moves cash


class LotMethod(models.TextChoices):
    """The order in which a sale closes lots."""

    FIFO = "fifo", "First in, first out"
    LIFO = "lifo", "Last in, first out"
    HIGHEST_COST = "highest_cost", "Highest cost first"


class Balance(models.Model):
    """A customer's cash, USD. Its row is the customer's lock: `ledger.open_books` takes it before the books change.

    `held` is set aside for the trade in flight; `available` is the rest. `lot_method` is the customer's choice; it is
    fixed for a trade when the trade is claimed. Until `settled_cash_until`, the account buys with settled cash only,
    because of too many good-faith violations.
    """

    customer = models.OneToOneField(Customer, models.PROTECT, primary_key=True)
    amount = models.DecimalField(**MONEY, default=0)
    held = models.DecimalField(**MONEY, default=0)
    lot_method = models.CharField(max_length=12, choices=LotMethod, default=LotMethod.FIFO, db_default=LotMethod.FIFO)
    settled_cash_until = models.DateField(null=True)
    modified_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="balance_holds_no_more_than_there_is",
                # The upper bound also refuses NaN, which is greater than every number.
                condition=Q(held__gte=0, held__lte=F("amount"), amount__lt=10**15),
            ),
        ]
        triggers = [pgtrigger.Protect(name="balances_stay", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.amount} USD"

    @property
    def available(self) -> Decimal:
        return self.amount - self.held


class Position(models.Model):
    """A customer's shares of one stock, and their total cost (USD). `held` shares are set aside for the SELL in flight.

    The total cost is stored instead of the average price, because an average that is rounded after every purchase
    stops moving when purchases are small.
    """

    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False)
    ticker = models.CharField(max_length=12)
    quantity = models.BigIntegerField()
    held = models.BigIntegerField(default=0)
    cost = models.DecimalField(**MONEY, default=0)
    modified_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_position_a_stock", fields=["customer", "ticker"]),
            models.CheckConstraint(
                name="position_holds_no_more_than_there_is", condition=Q(held__gte=0, held__lte=F("quantity"))
            ),
            models.CheckConstraint(name="position_names_a_stock", condition=~Q(ticker=CASH)),
            models.CheckConstraint(name="position_has_a_cost", condition=Q(cost__gte=0, cost__lt=10**15)),
        ]
        indexes = [models.Index(name="holders_of_stock", fields=["ticker", "customer"])]
        triggers = [pgtrigger.Protect(name="positions_stay", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.quantity} {self.ticker}"

    @property
    def average_price(self) -> Decimal:
        """The average cost of a share, USD; 0 without shares."""
        return money(self.cost / self.quantity if self.quantity else Decimal(0))

    def market_value(self, price: Decimal | None) -> Decimal | None:
        """Return what the shares are worth at a price, USD; None without a price."""
        return None if price is None else money(price * self.quantity)

    def value_or_cost(self, price: Decimal | None) -> Decimal:
        """Return what the shares are worth at a price, USD; without a price, what they cost."""
        value = self.market_value(price)
        return self.cost if value is None else value


class Transfer(models.Model):
    """A deposit or a withdrawal, and the cause of one posting."""

    class Type(models.TextChoices):
        DEPOSIT = "deposit"
        WITHDRAWAL = "withdrawal"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT)
    type = models.CharField(max_length=10, choices=Type)
    amount = models.DecimalField(**MONEY)
    idempotency_key = models.CharField(max_length=128, null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_transfer_a_key", fields=["customer", "idempotency_key"]),
            models.CheckConstraint(
                name="transfer_moves_something",
                condition=Q(amount__gt=0, amount__lt=10**15, type__in=["deposit", "withdrawal"]),
            ),
        ]
        triggers = [pgtrigger.Protect(name="transfers_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.type} of {self.amount} USD"


class Posting(models.Model):
    """One movement of a customer's cash or shares. It is never changed or deleted.

    `change` is the amount that moved, and `total` is the amount afterwards: USD if `ticker` is empty (cash), otherwise
    shares of that stock. `cause` is the id of what it was made for, such as a trade or a transfer. `settles_on` is the
    Eastern settlement date: for trades some days later, otherwise the day of the posting. It is empty in postings made
    before it was recorded, until `build_lots` dates them.
    """

    class Kind(models.TextChoices):
        DEPOSIT = "deposit"
        WITHDRAWAL = "withdrawal"
        BUY = "buy"
        SELL = "sell"
        ADJUSTMENT = "adjustment"
        DIVIDEND = "dividend"
        SPLIT = "split"
        FEE = "fee"
        NEW_TICKER = "new_ticker"

    customer = models.ForeignKey(Customer, models.PROTECT, db_index=False)
    ticker = models.CharField(max_length=12, blank=True, default=CASH)
    kind = models.CharField(max_length=12, choices=Kind)
    cause = models.UUIDField()
    change = models.DecimalField(**MONEY)
    total = models.DecimalField(**MONEY)
    price = models.DecimalField(**MONEY, null=True)
    settles_on = models.DateField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_posting_a_cause", fields=["cause", "kind", "ticker"]),
            models.CheckConstraint(
                name="posting_leaves_no_less_than_zero", condition=Q(total__gte=0, total__lt=10**15)
            ),
            models.CheckConstraint(
                name="posting_moves_something",
                condition=~Q(change=0) & Q(kind__in=["deposit", "withdrawal", "buy", "sell", "adjustment"])
                | ~Q(change=0) & Q(kind__in=["dividend", "split", "fee", "new_ticker"]),
            ),
        ]
        indexes = [
            models.Index(name="postings_of_customer", fields=["customer", "-id"]),
            # Finds the unsettled proceeds of a customer's recent sales; older entries are never read.
            models.Index(
                name="sales_by_settlement",
                fields=["customer", "settles_on"],
                condition=Q(ticker=CASH, kind__in=["sell", "fee"]),
            ),
            # Empty once `build_lots` has dated them all: then it finds at once that there is nothing to do.
            models.Index(name="undated_postings", fields=["customer"], condition=Q(settles_on=None)),
        ]
        triggers = [
            pgtrigger.Protect(name="postings_are_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="postings_stay", operation=pgtrigger.Update, condition=pgtrigger.AnyChange(exclude=["settles_on"])
            ),
            pgtrigger.Protect(
                name="settlement_dates_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(
                    old__settles_on__isnull=False, old__settles_on__df=pgtrigger.F("new__settles_on")
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.change:+} {self.ticker or 'USD'}"
