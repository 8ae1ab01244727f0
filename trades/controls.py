"""Trading controls: the halts, restrictions, and limits that staff has set, as every process sees them.

A halt refuses new orders. It also keeps lanes from claiming what was placed before: those trades wait until the halt is
lifted, or are cancelled. Each process reads the controls again after RULES_SECONDS_MAX, so a new one is in force
everywhere after that time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from accounts.models import Customer
from accounts.revocation import Cause, tell_frozen
from trades.models import CorporateAction, TradingControl
from web.cached import Cached

RULES_SECONDS_MAX = 0.5

Kind = TradingControl.Kind


@dataclass(frozen=True, slots=True)
class Rules:
    """The controls in force. The key of a limit is its kind and a customer's id, or None for all other customers."""

    all_halted: bool = False
    halted_customers: frozenset[int] = frozenset()
    halted_tickers: frozenset[str] = frozenset()
    restricted_tickers: frozenset[str] = frozenset()
    limits: dict[tuple[str, int | None], Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, controls: Iterable[TradingControl], halted_tickers: Iterable[str] = ()) -> "Rules":
        """Return the rules that these controls make.

        Args:
            controls: The newest of each kind and subject.
            halted_tickers: More stocks that are halted, because a corporate action is being applied to them.
        """
        on = [control for control in controls if control.is_on]
        return cls(
            all_halted=any(control.kind == Kind.HALT_ALL for control in on),
            halted_customers=frozenset(
                control.customer_id for control in on if control.kind == Kind.HALT_CUSTOMER and control.customer_id
            ),
            halted_tickers=frozenset(control.ticker for control in on if control.kind == Kind.HALT_TICKER)
            | frozenset(halted_tickers),
            restricted_tickers=frozenset(control.ticker for control in on if control.kind == Kind.RESTRICT_TICKER),
            limits={(control.kind, control.customer_id): control.value for control in on if control.value is not None},
        )

    def halt(self, customer_id: int, ticker: str) -> bool:
        """Return whether this customer's trading in this stock is halted."""
        return self.all_halted or customer_id in self.halted_customers or ticker in self.halted_tickers

    def halted(self, customer_id: int, ticker: str) -> str:
        """Return which halt applies to a trade, in words for staff; empty if none does."""
        if self.all_halted:
            return "all trading is halted"
        if customer_id in self.halted_customers:
            return "this customer's trading is halted"
        if ticker in self.halted_tickers:
            return f"trading in {ticker} is halted"
        return ""

    def limit(self, kind: TradingControl.Kind, customer_id: int) -> Decimal | None:
        """Return the customer's own limit, or else the general one, or else None."""
        return self.limits.get((kind, customer_id), self.limits.get((kind, None)))


def in_force() -> list[TradingControl]:
    """Read the newest control of each kind and subject, including those that were lifted."""
    newest = TradingControl.objects.order_by("kind", "ticker", "customer_id", "-id")
    return list(newest.distinct("kind", "ticker", "customer_id"))


def in_action() -> list[str]:
    """Read which stocks a split or a delisting is being applied to."""
    halts = [CorporateAction.Kind.SPLIT, CorporateAction.Kind.DELISTING]
    applying = CorporateAction.objects.filter(state=CorporateAction.State.APPLYING, kind__in=halts)
    return list(applying.values_list("ticker", flat=True))


_rules = Cached(lambda: Rules.of(in_force(), in_action()), RULES_SECONDS_MAX)


def rules() -> Rules:
    """Return the rules in force, at most RULES_SECONDS_MAX old."""
    return _rules.get()


def forget() -> None:
    """Read the controls again when they are next needed."""
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
    """Halt, restrict, or limit trading, or lift such a control. It is in force in every process within a second.

    A customer whose trading is halted, or no longer halted, is told by mail.

    Idempotent: no. Each call is recorded with its own reason.

    Args:
        kind: What is set.
        is_on: False lifts it.
        reason: Why, for the history.
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
    changed = freezes is not None and is_on != (freezes.id in Rules.of(in_force()).halted_customers)
    row.save(force_insert=True)
    forget()
    if freezes is not None and changed:
        tell_frozen(freezes, Cause.TRADING_FROZEN, is_on)
    return row
