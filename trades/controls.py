"""Trading controls: the halts, restrictions, and limits that staff have set, as each process sees them.

During a halt, new orders are refused, and lanes do not claim trades that were placed before: those wait until the halt
is lifted or they are cancelled. Each process rereads the controls after RULES_SECONDS_MAX, so a new control is in force
everywhere after that time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet

from accounts.models import Customer
from accounts.revocation import Cause, mail_frozen
from trades.models import TradingControl
from web.cached import Cached

RULES_SECONDS_MAX = 0.5

Kind = TradingControl.Kind


class InForce(NamedTuple):
    """A control that is in force: the fields of a TradingControl that the rules follow from."""

    kind: str
    ticker: str
    customer_id: int | None
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Rules:
    """The controls in force. A limit's key is its kind and a customer's id, or None for all other customers."""

    all_halted: bool = False
    halted_customers: frozenset[int] = frozenset()
    halted_tickers: frozenset[str] = frozenset()
    restricted_tickers: frozenset[str] = frozenset()
    limits: dict[tuple[str, int | None], Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, in_force: "Sequence[InForce | TradingControl]") -> "Rules":
        """Return the rules that follow from these controls, all of which are in force."""
        return cls(
            all_halted=any(control.kind == Kind.HALT_ALL for control in in_force),
            halted_customers=frozenset(
                control.customer_id
                for control in in_force
                if control.kind == Kind.HALT_CUSTOMER and control.customer_id
            ),
            halted_tickers=frozenset(control.ticker for control in in_force if control.kind == Kind.HALT_TICKER),
            restricted_tickers=frozenset(
                control.ticker for control in in_force if control.kind == Kind.RESTRICT_TICKER
            ),
            limits={
                (control.kind, control.customer_id): control.value for control in in_force if control.value is not None
            },
        )

    def is_halted(self, customer_id: int, ticker: str) -> bool:
        """Return whether this customer's trading in this stock is halted."""
        return self.all_halted or customer_id in self.halted_customers or ticker in self.halted_tickers

    def halt_reason(self, customer_id: int, ticker: str) -> str:
        """Return which halt applies to a trade, as a phrase for staff; empty if none does."""
        if self.all_halted:
            return "all trading is halted"
        if customer_id in self.halted_customers:
            return "this customer's trading is halted"
        if ticker in self.halted_tickers:
            return f"trading in {ticker} is halted"
        return ""

    def limit(self, kind: TradingControl.Kind, customer_id: int) -> Decimal | None:
        """Return the customer's own limit, or the general one if there is none, or None if there is no limit."""
        return self.limits.get((kind, customer_id), self.limits.get((kind, None)))


def newest_controls() -> QuerySet[TradingControl]:
    """Return the newest control of each kind and subject, including controls that were lifted."""
    newest = TradingControl.objects.order_by("kind", "ticker", "customer_id", "-id")
    return newest.distinct("kind", "ticker", "customer_id")


def controls_in_force() -> list[TradingControl]:
    """Return the controls that staff have set and not lifted."""
    return [control for control in newest_controls() if control.is_on]


def _read_rules() -> Rules:
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE)
        return Rules.of([InForce(*row) for row in cursor.fetchall()])


# Every process executes this twice a second. As two querysets it took ten times the CPU time, nearly all of it in
# Python. A stock is also halted while a split, a ticker change or a delisting is being applied to it.
IN_FORCE = """
    SELECT kind, ticker, customer_id, value FROM (
        SELECT DISTINCT ON (kind, ticker, customer_id) kind, ticker, customer_id, value, is_on
        FROM trades_tradingcontrol ORDER BY kind, ticker, customer_id, id DESC
    ) AS newest
    WHERE is_on
    UNION ALL
    SELECT 'halt_ticker', halted.ticker, NULL, NULL
    FROM trades_corporateaction AS action CROSS JOIN unnest(ARRAY[action.ticker, action.new_ticker]) AS halted (ticker)
    WHERE action.state = 'applying' AND action.kind <> 'CASH_DIVIDEND' AND halted.ticker <> ''
"""
_rules = Cached(_read_rules, RULES_SECONDS_MAX)


def rules() -> Rules:
    """Return the rules in force, at most RULES_SECONDS_MAX old."""
    return _rules.get()


def forget() -> None:
    """Expire the cached controls, so that they are read again when they are next needed."""
    _rules.expire()


def set_control(
    kind: TradingControl.Kind,
    is_on: bool,
    *,
    reason: str,
    by: Customer,
    ticker: str = "",
    customer: Customer | None = None,
    value: Decimal | None = None,
    row: TradingControl | None = None,
) -> TradingControl:
    """Halt, restrict, or limit trading, or lift such a control. Every process follows within a second.

    If this halts or resumes a customer's trading, the customer gets an email.

    Idempotent: no. Each call is recorded with its own reason.

    Args:
        kind: The kind of control.
        is_on: False lifts the control.
        reason: The reason, for the history.
        by: The member of staff.
        ticker: The stock, for the kinds that have one.
        customer: The customer, for the kinds that have one.
        value: The limit: shares, USD, or orders per minute.
        row: An unsaved row to fill in, instead of a new one.

    Raises:
        IntegrityError: The subject or the value does not fit the kind.
    """
    row = row or TradingControl()
    row.kind, row.is_on, row.reason, row.by = kind, is_on, reason, by
    row.ticker, row.customer, row.value = ticker.strip().upper(), customer, value
    freezes = customer if kind == Kind.HALT_CUSTOMER else None
    changed = freezes is not None and is_on != (freezes.id in Rules.of(controls_in_force()).halted_customers)
    row.save(force_insert=True)
    forget()
    if freezes is not None and changed:
        mail_frozen(freezes, Cause.TRADING_FROZEN, is_on)
    return row
