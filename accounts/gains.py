"""Realized gains and losses of a customer's sales. Each closing, the part of a lot that a sale closed, has its own.

A wash sale is flagged but not adjusted. It is a loss on a stock that was also bought within WASH_SALE_DAYS before or
after the sale.

Source: IRS Publication 550.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, Count, QuerySet, Sum
from django.db.models.expressions import RawSQL

from accounts.models import Lot, LotClosing

WASH_SALE_DAYS = 30
FIRST_YEAR, LAST_YEAR = 2008, 2034  # the years that the exchange's calendar covers


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of the closings of one term, USD, and their number."""

    proceeds: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    gain: Decimal = Decimal(0)
    closings: int = 0


def open_lots_of(customer_id: int, ticker: str | None = None) -> QuerySet[Lot]:
    """Return the lots that a customer still holds shares of, oldest first."""
    lots = Lot.objects.filter(customer_id=customer_id, remaining__gt=0)
    return (lots.filter(ticker=ticker) if ticker else lots).order_by("ticker", "acquired_on", "id")


def gains_of(customer_id: int, year: int) -> QuerySet[Any, Any]:
    """Return the closings of a customer's sales in a year, by trade date, each with `is_wash_sale`."""
    return gains_between(customer_id, date(year, 1, 1), date(year, 12, 31))


def gains_between(customer_id: int, first: date, last: date) -> QuerySet[Any, Any]:
    """Return the closings of a customer's sales with trade dates from first to last, both included."""
    return _sales_of(customer_id).filter(closed_on__range=(first, last))


def gains_on(customer_id: int, ticker: str) -> QuerySet[Any, Any]:
    """Return the closings of all of a customer's sales of one stock, newest first, each with `is_wash_sale`."""
    return _sales_of(customer_id).filter(ticker=ticker).order_by("-closed_on", "-id")


def _sales_of(customer_id: int) -> QuerySet[Any, Any]:
    sold = LotClosing.objects.filter(customer_id=customer_id, proceeds__isnull=False)
    return sold.annotate(is_wash_sale=IS_WASH_SALE)


def totals_of(sold: QuerySet[Any, Any]) -> dict[bool, Totals]:
    """Return the totals by term: short term under False, long term under True."""
    sums = sold.order_by().values_list("is_long_term").annotate(Sum("proceeds"), Sum("cost"), Sum("gain"), Count("id"))
    return {False: Totals(), True: Totals()} | {is_long_term: Totals(*rest) for is_long_term, *rest in sums}


def years_of(customer_id: int, this_year: int) -> Iterator[int]:
    """Yield the years from this one back to the year of the customer's first sale."""
    sold = LotClosing.objects.filter(customer_id=customer_id).order_by("closed_on").values_list("closed_on", flat=True)
    first = sold.first()
    yield from range(this_year, (first.year if first else this_year) - 1, -1)


# The sold shares don't count as their own replacement: neither their lot, if the sale closed all of it, nor the lot
# that it continues.
IS_WASH_SALE = RawSQL(
    """
    accounts_lotclosing.gain < 0 AND EXISTS (
        SELECT FROM accounts_lot AS other JOIN accounts_lot AS mine ON mine.id = accounts_lotclosing.lot_id
        WHERE other.customer_id = accounts_lotclosing.customer_id AND other.ticker = accounts_lotclosing.ticker
          AND other.acquired_on BETWEEN accounts_lotclosing.closed_on - %s AND accounts_lotclosing.closed_on + %s
          AND other.id IS DISTINCT FROM mine.origin
          AND (other.id <> mine.id OR mine.quantity > accounts_lotclosing.quantity))
    """,
    [WASH_SALE_DAYS, WASH_SALE_DAYS],
    output_field=BooleanField(),
)
