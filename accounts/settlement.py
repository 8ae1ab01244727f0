"""Settlement: how much of a customer's cash has settled, and from when the rest has.

The proceeds of a sale can be spent at once, and withdrawn once they have settled. Whether they have settled depends on
the date alone: no job runs at night to settle them. The dates are Eastern, and come from whoever posts.
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
    """Proceeds of sales, net of fees (USD), that settle on one day."""

    settles_on: date
    amount: Decimal


class UnsettledFunds(Exception):
    """The amount is more than the cash that has settled."""

    def __init__(self, settles_on: date) -> None:
        super().__init__(f"This much can be withdrawn from {settles_on:%B} {settles_on.day}, {settles_on.year}.")
        self.settles_on = settles_on


@dataclass(frozen=True, slots=True)
class Cash:
    """A customer's cash at one moment, USD. `unsettled_sales` is in order of days."""

    amount: Decimal
    held: Decimal
    unsettled_sales: Sequence[Unsettled]
    modified_at: datetime | None = None

    @property
    def available(self) -> Decimal:
        """Cash that can be spent."""
        return self.amount - self.held

    @property
    def unsettled(self) -> Decimal:
        """What sales have brought that has not settled, spent or not."""
        return sum((sale.amount for sale in self.unsettled_sales), Decimal(0))

    @property
    def settled(self) -> Decimal:
        return max(Decimal(0), self.amount - self.unsettled)

    @property
    def withdrawable(self) -> Decimal:
        return min(self.available, self.settled)

    def settled_from(self, amount: Decimal) -> date | None:
        """Return the day from which this much will have settled; None: it has now, or there is not as much."""
        missing = amount - self.settled
        if missing <= 0 or amount > self.amount:
            return None
        return self._drawn_until(missing)

    def paid_with_until(self, amount: Decimal) -> date | None:
        """Return when the last of the proceeds settle that would pay for this much; None: settled cash pays for it.

        The earliest proceeds are spent first.
        """
        missing = amount - self.settled
        return self._drawn_until(missing) if missing > 0 else None

    def _drawn_until(self, missing: Decimal) -> date | None:
        # Of the proceeds, the earliest may be spent already: then there is less cash than proceeds.
        to_cover = missing + max(Decimal(0), self.unsettled - self.amount)
        for sale in self.unsettled_sales:
            to_cover -= sale.amount
            if to_cover <= 0:
                return sale.settles_on
        return self.unsettled_sales[-1].settles_on if self.unsettled_sales else None


def unsettled_sales_of(customer_ids: Collection[int], after: date) -> dict[int, list[Unsettled]]:
    """Return what each customer's sales have brought that settles after a day, in order of days. One statement.

    Its cost grows with the sales of the last days, and not with the customers' history.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNSETTLED_SALES, [list(customer_ids), after])
        found: dict[int, list[Unsettled]] = defaultdict(list)
        for customer_id, *sale in cursor.fetchall():
            found[customer_id].append(Unsettled(*sale))
        return found


def cash_of(customer_id: int) -> Cash:
    """Return a customer's cash, settled and not, as of now."""
    balance = Balance.objects.get(customer_id=customer_id)
    sales = unsettled_sales_of([customer_id], eastern_today())
    return Cash(balance.amount, balance.held, sales.get(customer_id, []), balance.modified_at)


# A purchase's fee settles with the purchase and takes nothing from what sales bring: hence the sum by cause.
# The kinds are part of the statement and not a parameter: otherwise a generic plan could not use the partial index.
UNSETTLED_SALES = """
    SELECT customer_id, settles_on, sum(net) FROM (
        SELECT customer_id, settles_on, cause, sum(change) AS net FROM accounts_posting
        WHERE customer_id = ANY (%s) AND settles_on > %s AND ticker = '' AND kind IN ('sell', 'fee')
        GROUP BY customer_id, settles_on, cause HAVING bool_or(kind = 'sell')
    ) AS sale
    GROUP BY customer_id, settles_on ORDER BY customer_id, settles_on
"""
