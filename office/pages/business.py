"""The business figures of the desk: today's volume, deposits and active customers, and the assets of all customers.

They read more rows than a page that refreshes itself should, so each process computes them only every FIGURES_SECONDS,
and the desk shows when.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from accounts.models import Position
from exchange import prices
from office import daily_report
from web.cached import Cached
from web.timezones import eastern_today

FIGURES_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Figures:
    """Today's figures, in USD. `assets` counts shares at the last price, or at cost if no price is known."""

    at: datetime
    volume: Decimal
    filled: int
    deposits: Decimal
    withdrawals: Decimal
    active_customers: int
    new_customers: int
    cash: Decimal
    shares: Decimal
    customers: int

    @property
    def assets(self) -> Decimal:
        return self.cash + self.shares


def _read() -> Figures:
    today = daily_report.figures_of(eastern_today())
    moved = {kind: Decimal(row["total"]) for kind, row in today["cash"].items()}
    with connection.cursor() as cursor:
        cursor.execute(CASH_HELD)
        cash, customers = cursor.fetchone()
        cursor.execute(SHARES_HELD)
        held = [Position(ticker=ticker, quantity=count, cost=cost) for ticker, count, cost in cursor.fetchall()]
    last = prices.known([position.ticker for position in held], seconds_max=prices.KEPT_SECONDS)
    shares = sum(
        (position.value_or_cost(last[position.ticker].price if position.ticker in last else None) for position in held),
        Decimal(0),
    )
    return Figures(
        at=timezone.now(),
        volume=Decimal(today["volume"]),
        filled=today["filled"],
        deposits=moved.get("deposit", Decimal(0)),
        withdrawals=-moved.get("withdrawal", Decimal(0)),
        active_customers=today["activeCustomers"],
        new_customers=today["newCustomers"],
        cash=cash,
        shares=shares,
        customers=customers,
    )


figures: Cached[Figures] = Cached(_read, FIGURES_SECONDS)

CASH_HELD = "SELECT coalesce(sum(amount), 0), count(*) FROM accounts_balance"
SHARES_HELD = """
    SELECT ticker, sum(quantity)::bigint, sum(cost) FROM accounts_position WHERE quantity > 0 GROUP BY ticker
"""
