"""The gain of a position on the current trading day: one computation for the pages and the Alpaca API."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from accounts.models import Position
from trades.equity import LAST_BEFORE


class Bought(NamedTuple):
    """The shares of a stock bought during the day, less those sold, and what they cost, USD, without fees."""

    shares: Decimal
    cost: Decimal


NOTHING_BOUGHT = Bought(Decimal(0), Decimal(0))


class DayGain(NamedTuple):
    """The day's gain or loss on a position, USD, and what was invested in it: the earlier value and purchases."""

    amount: Decimal
    invested: Decimal

    @property
    def ratio(self) -> Decimal:
        return self.amount / self.invested if self.invested else Decimal(0)


def bought_since(customer_id: int, begins: datetime) -> dict[str, Bought]:
    """Return what a customer has bought since a time, by ticker. It reads no earlier postings."""
    with connection.cursor() as cursor:
        cursor.execute(BOUGHT, {"customer": customer_id, "first": begins})
        return {ticker: Bought(shares, cost) for ticker, shares, cost in cursor.fetchall()}


def day_gain(position: Position, price: Decimal, before: Decimal, bought: Bought) -> DayGain:
    """Return the day's gain on a position: earlier shares count from a price, the others from their purchase.

    Args:
        position: The position now.
        price: The price now, USD per share.
        before: The price from which the day's change is counted, USD per share.
        bought: What was bought since then.
    """
    earlier = (position.quantity - bought.shares) * before
    return DayGain(
        amount=price * position.quantity - earlier - bought.cost, invested=earlier + max(bought.cost, Decimal(0))
    )


BOUGHT = f"""
    SELECT ticker, sum(change), sum(change * price)
    FROM accounts_posting
    WHERE customer_id = %(customer)s AND id > {LAST_BEFORE} AND created_at > %(first)s
      AND kind IN ('buy', 'sell') AND ticker <> ''
    GROUP BY ticker
"""
