"""Restrictions after good-faith violations: an account's standing, the effect of a sale, and the lifting by staff."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.ledger import open_books
from accounts.lots import Disposal, changes_of
from accounts.models import Balance, Customer, GoodFaithViolation
from accounts.settlement import in_force
from web.timezones import eastern_today

LISTED_MAX = 50


class NotRestricted(Exception):
    """The account is not restricted."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's good-faith violations of the last 12 months, newest first, and until when it is restricted."""

    violations: Sequence[GoodFaithViolation]
    settled_cash_until: date | None
    violations_max: int = field(default_factory=lambda: settings.GOOD_FAITH_VIOLATIONS_MAX)
    restriction_days: int = field(default_factory=lambda: settings.GOOD_FAITH_RESTRICTION_DAYS)


def standing_of(customer_id: int) -> Standing:
    """Return an account's standing today."""
    today = eastern_today()
    recent = GoodFaithViolation.objects.filter(customer_id=customer_id, sold_on__gt=_year_before(today))
    until = Balance.objects.values_list("settled_cash_until", flat=True).get(customer_id=customer_id)
    return Standing(list(recent.order_by("-sold_on", "-id")[:LISTED_MAX]), in_force(until, today))


def sale_is_early_until(customer_id: int, ticker: str, quantity: int, day: date, ahead: int = 0) -> date | None:
    """Return the day before which a sale would be a good-faith violation, if it would be one on this day. Two queries.

    Args:
        customer_id: The owner of the shares.
        ticker: The stock.
        quantity: The number of shares to sell.
        day: The trade date.
        ahead: The number of shares that the customer's open trades will sell before.
    """
    method = Balance.objects.values_list("lot_method", flat=True).get(customer_id=customer_id)
    sales = [
        Disposal(customer_id, ticker, uuid4(), day, shares, Decimal(0), method)
        for shares in (ahead, quantity)
        if shares
    ]
    early = changes_of(sales).early_sales.get(sales[-1].cause)
    return early and early.settles_on


def lift_restriction(customer_id: int, reason: str, by: Customer) -> None:
    """Let an account buy with unsettled cash again. Its violations stay, so the next one may restrict it again.

    Raises:
        NotRestricted: The account is not restricted.
    """
    with transaction.atomic(durable=True):
        books = open_books([customer_id])
        if not books[customer_id].buys_with_settled_cash_only(eastern_today()):
            raise NotRestricted
        imposed = GoodFaithViolation.objects.filter(
            customer_id=customer_id, restricts_until__gt=eastern_today(), lifted_at=None
        )
        imposed.update(lifted_at=Now(), lifted_by=by, lift_reason=reason)
        with connection.cursor() as cursor:
            cursor.execute(LIFT, [customer_id])


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # February 29
        return day - timedelta(days=366)


# Restrictions that staff have not lifted stay, even if they are over.
LIFT = """
    UPDATE accounts_balance AS b SET settled_cash_until = (
        SELECT max(restricts_until) FROM accounts_goodfaithviolation AS v
        WHERE v.customer_id = b.customer_id AND v.lifted_at IS NULL
    ) WHERE b.customer_id = %s
"""
