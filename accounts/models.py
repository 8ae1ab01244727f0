"""Who the customers are, what they hold, and the books.

The database enforces what these docstrings promise: constraints keep every figure at or above zero, and
triggers keep a posting as it was written.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, ClassVar

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Floor, Lower, Now
from uuid_utils.compat import uuid7

from accounts.notice_models import MutedNotice as MutedNotice
from accounts.notice_models import Notice as Notice
from accounts.notice_models import NoticePlace as NoticePlace

MONEY: dict[str, Any] = {"max_digits": 19, "decimal_places": 4}  # USD; NUMERIC(19,4)
CASH = ""  # the ticker of a posting that moves cash
SIGN_INS_KEPT_DAYS = 400  # a year, and a month in which to ask about it


class CustomerManager(BaseUserManager["Customer"]):
    """Creates customers the way Django's own commands expect. Everything else uses `accounts.customers`."""

    def get_by_natural_key(self, username: str | None) -> "Customer":
        return self.get(email=normal_email(username or ""))

    def create_superuser(self, email: str, password: str | None = None) -> "Customer":
        from accounts.customers import create_customer

        return create_customer(email, password, is_staff=True, is_superuser=True)


def normal_email(email: str) -> str:
    """Return the stored form of an email address: addresses that differ only in case are one customer."""
    return email.strip().lower()


class Theme(models.TextChoices):
    """How pages look."""

    SYSTEM = "system", "The system's"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class Customer(AbstractBaseUser, PermissionsMixin):
    """A customer of the brokerage, or a member of its staff, who signs in by email address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True, help_text="If off, the customer can't sign in and no token works.")
    is_staff = models.BooleanField(default=False, help_text="Can sign in to the back office.")
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    theme = models.CharField(max_length=6, choices=Theme, default=Theme.SYSTEM)
    time_zone = models.CharField(max_length=64, blank=True, default="", help_text="If empty, the browser's.")
    closed_at = models.DateTimeField(null=True, editable=False, help_text="When the account was closed, for good.")
    erased_at = models.DateTimeField(null=True, editable=False, help_text="When the personal data was erased.")

    objects = CustomerManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = []

    class Meta:
        constraints = [
            models.CheckConstraint(name="customer_email_is_lower_case", condition=Q(email=Lower("email"))),
        ]
        indexes = [GinIndex(SearchVector("name", config="simple"), name="customers_by_name")]

    def __str__(self) -> str:
        return self.email


class LotMethod(models.TextChoices):
    """Which lots a sale closes first."""

    FIFO = "fifo", "First in, first out"
    LIFO = "lifo", "Last in, first out"
    HIGHEST_COST = "highest_cost", "Highest cost first"


class Balance(models.Model):
    """A customer's cash, USD. Its row is the customer's lock: `ledger.open_books` takes it before the books change.

    `held` is set aside for the trade in flight; `available` is the rest. `lot_method` is the customer's choice, which a
    trade keeps from its claim on.
    """

    customer = models.OneToOneField(Customer, models.PROTECT, primary_key=True)
    amount = models.DecimalField(**MONEY, default=0)
    held = models.DecimalField(**MONEY, default=0)
    lot_method = models.CharField(max_length=12, choices=LotMethod, default=LotMethod.FIFO, db_default=LotMethod.FIFO)
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
    """A customer's shares of one stock, and what they cost in all (USD). `held` shares are set aside for the SELL in
    flight.

    The cost is kept rather than the average price: an average that is rounded at every purchase stops moving when
    purchases are small.
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
        average = self.cost / self.quantity if self.quantity else Decimal(0)
        return average.quantize(Decimal("0.0001"), ROUND_HALF_EVEN)


class Transfer(models.Model):
    """A deposit or a withdrawal: the cause of one posting."""

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

    `change` is what moved, and `total` what there was afterwards: USD if `ticker` is empty (cash), else shares of that
    stock. `cause` is the id of what moved it: a trade, a transfer or an adjustment. `settles_on` is the Eastern date on
    which it settles: what a trade moved, some days later; all else, the day it was posted. It is empty in postings from
    before it was kept, until `build_lots` dates them.
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
                condition=~Q(change=0)
                & Q(kind__in=["deposit", "withdrawal", "buy", "sell", "adjustment", "dividend", "split", "fee"]),
            ),
        ]
        indexes = [
            models.Index(name="postings_of_customer", fields=["customer", "-id"]),
            # What a customer's sales of the last days have brought; older entries are never read.
            models.Index(
                name="sales_by_settlement",
                fields=["customer", "settles_on"],
                condition=Q(ticker=CASH, kind__in=["sell", "fee"]),
            ),
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


class Lot(models.Model):
    """Shares of one stock that came in together: what a purchase opened. Sales close lots.

    `cost` is what all `quantity` shares cost, USD, with the purchase's fees; `remaining_cost` what the `remaining` ones
    did. `cause` is that of the posting. A lot that continues another one after a corporate action has it as `origin`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    ticker = models.CharField(max_length=12)
    cause = models.UUIDField()
    acquired_on = models.DateField(help_text="The trade date, Eastern.")
    quantity = models.BigIntegerField()
    cost = models.DecimalField(**MONEY)
    remaining = models.BigIntegerField()
    remaining_cost = models.DecimalField(**MONEY)
    origin = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="lot_has_no_more_than_was_bought",
                condition=Q(quantity__gt=0, remaining__gte=0, remaining__lte=F("quantity"))
                & Q(remaining_cost__gte=0, remaining_cost__lte=F("cost"), cost__lt=10**15),
            ),
        ]
        indexes = [
            models.Index(
                name="open_lots", fields=["customer", "ticker", "acquired_on", "id"], condition=Q(remaining__gt=0)
            ),
            models.Index(name="lots_of_stock", fields=["customer", "ticker", "acquired_on"]),
        ]
        triggers = [
            pgtrigger.Protect(name="lots_are_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="lots_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["remaining", "remaining_cost"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remaining} of {self.quantity} {self.ticker}"


class LotClosing(models.Model):
    """A piece of a lot that went out: by a sale with its proceeds (USD, net of fees) and its gain, else without."""

    lot = models.ForeignKey(Lot, models.PROTECT, related_name="closings", db_index=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    ticker = models.CharField(max_length=12)
    cause = models.UUIDField()
    acquired_on = models.DateField()
    closed_on = models.DateField(help_text="The trade date, Eastern.")
    quantity = models.BigIntegerField()
    cost = models.DecimalField(**MONEY)
    proceeds = models.DecimalField(**MONEY, null=True)
    gain = models.DecimalField(**MONEY, null=True)
    is_long_term = models.BooleanField()

    class Meta:
        constraints = [
            # Begins with the lot, so that the foreign key needs no index of its own.
            models.UniqueConstraint(name="one_closing_a_cause", fields=["lot", "cause"]),
            models.CheckConstraint(
                name="closing_adds_up",
                condition=Q(quantity__gt=0, cost__gte=0)
                & (
                    Q(proceeds=None, gain=None)
                    | Q(proceeds__isnull=False, gain__isnull=False, gain=F("proceeds") - F("cost"))
                ),
            ),
        ]
        indexes = [models.Index(name="closings_of_customer", fields=["customer", "closed_on", "id"])]
        triggers = [pgtrigger.Protect(name="closings_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.quantity} {self.ticker}, {self.closed_on}"


class Limits(models.Model):
    """How many requests a minute this customer may make, if not as many as everybody."""

    customer = models.OneToOneField(Customer, models.CASCADE, primary_key=True, related_name="limits")
    reads_a_minute = models.PositiveIntegerField(null=True, blank=True, help_text="If empty, as many as everybody.")
    orders_a_minute = models.PositiveIntegerField(null=True, blank=True, help_text="If empty, as many as everybody.")

    class Meta:
        verbose_name_plural = "limits"

    def __str__(self) -> str:
        return f"{self.reads_a_minute or '·'} reads, {self.orders_a_minute or '·'} orders a minute"


class Token(models.Model):
    """A grant for a program: a bearer token and a key pair, both for the same customer and scopes.

    Only hashes are stored. The secrets are long and random, so one round of SHA-256 is as good as a slow hash.
    """

    class Scope(models.TextChoices):
        READ = "read"
        TRADE = "trade"
        FUNDS = "funds"
        WEBHOOKS = "webhooks"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_id = models.CharField(max_length=32, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    allowed_addresses = models.JSONField(null=True, help_text="Networks that it may be used from; null: anywhere.")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, editable=False)
    idempotency_key = models.CharField(max_length=128, null=True, editable=False)

    # Set by accounts.tokens: whether its use was noted recently, and the customer's own limits (Limits).
    use_is_noted: bool = False
    own_reads_a_minute: int | None = None
    own_orders_a_minute: int | None = None

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_token_a_key",
                fields=["customer", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Watchlist(models.Model):
    """A customer's named list of stocks, in the order in which they were added.

    The pages show the default list; programs may keep others beside it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="watchlists", db_index=False)
    name = models.CharField(max_length=64)
    tickers = ArrayField(models.CharField(max_length=12), default=list)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_watchlist_of_a_name", fields=["customer", "name"]),
            models.UniqueConstraint(name="one_default_watchlist", fields=["customer"], condition=Q(is_default=True)),
        ]

    def __str__(self) -> str:
        return self.name


class Adjustment(models.Model):
    """Cash or shares that staff puts into an account or takes out of it: one asks for it, another decides on it.

    It moves cash if `ticker` is empty, else whole shares of that stock; `price` is what an added share counts as having
    cost. `approved` is None while it waits. An approved adjustment is the cause of one posting.
    """

    class Reason(models.TextChoices):
        GOODWILL = "goodwill", "Goodwill"
        FEE = "fee", "Fee, or a fee returned"
        DIVIDEND = "dividend", "Dividend or other corporate action"
        ERROR = "error", "Correction of an error of ours"
        BANK = "bank", "A transfer that the bank returned or corrected"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    ticker = models.CharField(max_length=12, blank=True, db_default=CASH, default=CASH)
    change = models.DecimalField(**MONEY, help_text="USD or shares: into the account if above zero, else out of it.")
    price = models.DecimalField(**MONEY, null=True)
    reason_code = models.CharField(max_length=10, choices=Reason)
    reason = models.CharField(max_length=500)
    asked_by = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    approved = models.BooleanField(null=True)
    decided_by = models.ForeignKey(Customer, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="adjustment_moves_something", condition=~Q(change=0)),
            models.CheckConstraint(
                name="adjustment_of_shares_is_of_whole_ones", condition=Q(ticker=CASH) | Q(change=Floor("change"))
            ),
            models.CheckConstraint(
                name="adjustment_has_a_price_for_added_shares",
                condition=Q(price=None) & (Q(ticker=CASH) | Q(change__lt=0))
                | ~Q(ticker=CASH) & Q(change__gt=0, price__isnull=False, price__gte=0, price__lt=10**15),
            ),
            models.CheckConstraint(name="nobody_decides_on_their_own", condition=~Q(decided_by=F("asked_by"))),
            models.CheckConstraint(
                name="adjustment_is_decided_by_somebody",
                condition=Q(approved=None, decided_by=None, decided_at=None)
                | Q(approved__isnull=False, decided_by__isnull=False, decided_at__isnull=False),
            ),
        ]
        indexes = [models.Index(name="adjustments_waiting", fields=["asked_at"], condition=Q(approved=None))]
        triggers = [
            pgtrigger.Protect(name="adjustments_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="decided_adjustments_stay", operation=pgtrigger.Update, condition=~pgtrigger.Q(old__approved=None)
            ),
            pgtrigger.Protect(
                name="adjustment_terms_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__customer__df=pgtrigger.F("new__customer"))
                | pgtrigger.Q(old__ticker__df=pgtrigger.F("new__ticker"))
                | pgtrigger.Q(old__change__df=pgtrigger.F("new__change"))
                | pgtrigger.Q(old__price__df=pgtrigger.F("new__price"))
                | pgtrigger.Q(old__reason_code__df=pgtrigger.F("new__reason_code"))
                | pgtrigger.Q(old__reason__df=pgtrigger.F("new__reason"))
                | pgtrigger.Q(old__asked_by__df=pgtrigger.F("new__asked_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.summary}, {self.get_reason_code_display()}"

    @property
    def summary(self) -> str:
        """What it moves: +12.5000 USD, -3 AAPL, +5 AAPL at 187.2500 USD."""
        if self.ticker == CASH:
            return f"{self.change:+,.4f} USD"
        at = "" if self.price is None else f" at {self.price:,.4f} USD"
        return f"{int(self.change):+,} {self.ticker}{at}"


class Freeze(models.Model):
    """A freeze of a customer's withdrawals, or the end of one. The newest is in force; all of them stay."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    is_on = models.BooleanField()
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(name="freezes_of_customer", fields=["customer", "-id"])]
        triggers = [pgtrigger.Protect(name="freezes_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return "frozen" if self.is_on else "not frozen"


class SignIn(models.Model):
    """An entry of the sign-in history: a sign-in, a failed attempt, or the end of a session. Kept SIGN_INS_KEPT_DAYS.

    `session` is a name that a sign-in shares with the end of its session; it can't be used to enter it. `second_factor`
    says whether a code was given. Attempts at addresses without an account are not recorded.
    """

    class Kind(models.TextChoices):
        IN = "in", "signed in"
        WRONG_PASSWORD = "wrong_password", "wrong password"
        WRONG_CODE = "wrong_code", "wrong code"
        TOKEN = "token", "created a token with the password"
        ENDED = "ended", "session ended"
        EXPIRED = "expired", "session expired"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=16, choices=Kind)
    address = models.CharField(max_length=64, blank=True, help_text="The network address it came from.")
    device = models.CharField(max_length=300, blank=True, help_text="The browser's User-Agent.")
    second_factor = models.BooleanField(default=False)
    session = models.CharField(max_length=12, blank=True)

    class Meta:
        verbose_name = "sign-in"
        indexes = [models.Index(name="sign_ins_of_customer", fields=["customer", "-id"])]
        triggers = [
            pgtrigger.Protect(name="sign_ins_stay", operation=pgtrigger.Update),
            pgtrigger.Protect(
                name="sign_ins_are_kept",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition(f"OLD.at > now() - interval '{SIGN_INS_KEPT_DAYS} days'"),
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
