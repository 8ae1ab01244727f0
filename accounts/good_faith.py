"""Good faith: shares that were bought with unsettled proceeds must not be sold before the proceeds have settled.

The ledger calls this when it writes: a purchase marks its lot with the day on which its payment will have settled, and
a sale from that lot before that day is recorded as a violation. Too many violations within 12 months restrict the
account: for a while, it buys with settled cash only.

Source: Regulation T (12 CFR 220.8): a cash account may buy only what it will pay for before it sells it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from django.conf import settings
from django.db import connection

from accounts import notices
from accounts.lots import Disposal, EarlySale, Opening
from accounts.models import GoodFaithViolation
from accounts.settlement import Unsettled, covered_from, unsettled_sales_of

Movement = Opening | Disposal


def mark_purchases(movements: list[Movement]) -> list[Movement]:
    """Return the movements, with each purchase marked with the day on which its payment will have settled.

    Costs one query if there are purchases, however many.
    """
    purchases = [movement for movement in movements if isinstance(movement, Opening) and movement.payment]
    if not purchases:
        return movements
    earliest = min(movement.acquired_on for movement in purchases)
    unsettled = unsettled_sales_of({movement.customer_id for movement in purchases}, earliest)
    return [_marked(movement, unsettled) if isinstance(movement, Opening) else movement for movement in movements]


def _marked(opening: Opening, recorded_sales: Mapping[int, Sequence[Unsettled]]) -> Opening:
    if opening.payment is None:
        return opening
    sales = [*recorded_sales.get(opening.customer_id, ()), *opening.payment.sales]
    unsettled = sorted(sale for sale in sales if sale.settles_on > opening.acquired_on)
    until = covered_from(opening.payment.cash_left, unsettled)
    return replace(opening, paid_with_until=until or opening.acquired_on)


def record_violations(sales: Iterable[EarlySale]) -> dict[int, date]:
    """Record good-faith violations, restrict accounts that have too many, and notify the customers.

    Needs the customers' locks.

    Idempotent: yes. A sale is recorded once.

    Returns:
        For each customer whose account these violations restrict, the day until which it is restricted.
    """
    rows = list(sales)
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            RECORD,
            [
                *(list(column) for column in zip(*rows, strict=True)),
                settings.GOOD_FAITH_VIOLATIONS_MAX,
                settings.GOOD_FAITH_RESTRICTION_DAYS,
            ],
        )
        restricted: dict[int, date] = dict(cursor.fetchall())
    for violation in GoodFaithViolation.objects.filter(cause__in=[row.cause for row in rows]):
        _notify(violation)
    return restricted


def _notify(violation: GoodFaithViolation) -> None:
    violations_max = settings.GOOD_FAITH_VIOLATIONS_MAX
    if violation.restricts_until:
        meaning = (
            f"This was number {violation.number} within 12 months, so until {violation.restricts_until:%B %-d, %Y} "
            "your account can buy with settled cash only."
        )
    else:
        meaning = (
            f"This was number {violation.number} within 12 months. At number {violations_max}, your account "
            f"can buy with settled cash only for {settings.GOOD_FAITH_RESTRICTION_DAYS} days."
        )
    notices.enter(
        violation.customer_id,
        notices.Kind.ACCOUNT,
        violation.cause,
        f"Good-faith violation: {violation.ticker} was sold before it was paid for",
        f"{violation.sentence} {meaning}",
    )


# One statement for the whole set. A customer's violations are counted under the customer's lock.
RECORD = """
    WITH recorded AS (
        INSERT INTO accounts_goodfaithviolation
            (customer_id, ticker, cause, lot_id, bought_on, sold_on, settles_on, number, restricts_until, lift_reason)
        SELECT customer_id, ticker, cause, lot_id, bought_on, sold_on, settles_on, number,
               CASE WHEN number >= most THEN sold_on + days END, ''
        FROM (
            SELECT new.*, most, days,
                   row_number() OVER (PARTITION BY customer_id ORDER BY place) + (
                       SELECT count(*) FROM accounts_goodfaithviolation AS old
                       WHERE old.customer_id = new.customer_id AND old.sold_on > new.sold_on - interval '1 year'
                   ) AS number
            FROM unnest(%s::bigint[], %s::text[], %s::uuid[], %s::uuid[], %s::date[], %s::date[], %s::date[])
                WITH ORDINALITY AS new (customer_id, ticker, cause, lot_id, bought_on, sold_on, settles_on, place),
                (SELECT %s::int AS most, %s::int AS days) AS limits
        ) AS numbered
        ON CONFLICT (cause) DO NOTHING
        RETURNING customer_id, restricts_until
    )
    UPDATE accounts_balance AS b SET settled_cash_until = greatest(b.settled_cash_until, new.until)
    FROM (SELECT customer_id, max(restricts_until) AS until FROM recorded GROUP BY customer_id) AS new
    WHERE b.customer_id = new.customer_id AND new.until IS NOT NULL
    RETURNING b.customer_id, b.settled_cash_until
"""
