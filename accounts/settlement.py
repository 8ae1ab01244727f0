"""Settlement: how much of a customer's cash has settled, and when the rest will.

The proceeds of a sale can be spent at once, but withdrawn only after they have settled. Whether they have settled
depends only on the date, so no nightly job is needed. Dates are Eastern, and are set by the code that posts.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from accounts.models import Balance
from web.timezones import eastern_today


class Dates(NamedTuple):
    """When a trade was executed and when it settles, Eastern."""

    traded_on: date
    settles_on: date


class Unsettled(NamedTuple):
    """The proceeds of sales that settle on one day, USD, net of fees."""

    settles_on: date
    amount: Decimal


class UnsettledFunds(Exception):
    """The amount is more than the cash that has settled."""

    def __init__(self, settles_on: date) -> None:
        super().__init__(f"This much can be withdrawn from {settles_on:%B} {settles_on.day}, {settles_on.year}.")
        self.settles_on = settles_on


@dataclass(frozen=True, slots=True)
class Cash:
    """A customer's cash at one moment, USD. `unsettled_sales` is in order of days.

    Until `settled_cash_until`, only settled cash can be spent; None: all cash can.
    """

    amount: Decimal
    held: Decimal
    unsettled_sales: Sequence[Unsettled]
    settled_cash_until: date | None = None
    modified_at: datetime | None = None

    @property
    def available(self) -> Decimal:
        """Cash that is not on hold."""
        return self.amount - self.held

    @property
    def spendable(self) -> Decimal:
        """Cash that can be spent: the available cash or, in a restricted account, only the settled part of it."""
        return self.withdrawable if self.settled_cash_until else self.available

    @property
    def unsettled(self) -> Decimal:
        """Proceeds of sales that have not settled, whether spent or not."""
        return sum((sale.amount for sale in self.unsettled_sales), Decimal(0))

    @property
    def settled(self) -> Decimal:
        return max(Decimal(0), self.amount - self.unsettled)

    @property
    def withdrawable(self) -> Decimal:
        return min(self.available, self.settled)

    def settled_from(self, amount: Decimal) -> date | None:
        """Return the day on which this much will have settled; None if it has already, or if there is less cash."""
        return None if amount > self.amount else covered_from(self.amount - amount, self.unsettled_sales)


def covered_from(cash_left: Decimal, unsettled_sales: Sequence[Unsettled]) -> date | None:
    """Return the day on which all cash that was spent will have settled; None if it was settled cash.

    Settled cash is spent first, and then the earliest proceeds, so the latest proceeds are left.

    Args:
        cash_left: The cash that is left, USD.
        unsettled_sales: The unsettled proceeds, in order of days.
    """
    for sale in reversed(unsettled_sales):
        cash_left -= sale.amount
        if cash_left < 0:
            return sale.settles_on
    return None


def unsettled_sales_of(customer_ids: Collection[int], after: date) -> dict[int, list[Unsettled]]:
    """Return each customer's proceeds that settle after a day, in order of days. One query.

    Its cost depends on the sales of the last days, not on the customers' whole history.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNSETTLED_SALES, [list(customer_ids), after])
        found: dict[int, list[Unsettled]] = defaultdict(list)
        for customer_id, *sale in cursor.fetchall():
            found[customer_id].append(Unsettled(*sale))
        return found


def cash_of(customer_id: int) -> Cash:
    """Return a customer's cash as of now, with its unsettled part."""
    balance, today = Balance.objects.get(customer_id=customer_id), eastern_today()
    sales = unsettled_sales_of([customer_id], today).get(customer_id, [])
    return Cash(balance.amount, balance.held, sales, in_force(balance.settled_cash_until, today), balance.modified_at)


def in_force(until: date | None, day: date) -> date | None:
    """Return the end of a restriction if the restriction is in force on a day, else None."""
    return until if until and day < until else None


# Summed by cause, because the fee of a purchase settles with the purchase and does not reduce proceeds of sales.
# The kinds are part of the statement and not a parameter, because a generic plan could not use the partial index.
UNSETTLED_SALES = """
    SELECT customer_id, settles_on, sum(net) FROM (
        SELECT customer_id, settles_on, cause, sum(change) AS net FROM accounts_posting
        WHERE customer_id = ANY (%s) AND settles_on > %s AND ticker = '' AND kind IN ('sell', 'fee')
        GROUP BY customer_id, settles_on, cause HAVING bool_or(kind = 'sell')
    ) AS sale
    GROUP BY customer_id, settles_on ORDER BY customer_id, settles_on
"""
