"""Write a notice for each new monthly statement."""

from django.db import connection
from django.utils import timezone

from web.timezones import EASTERN

NOTICES_A_ROUND_MAX = 5_000
DAYS = 7  # of a new month, in which the statement of the month before is announced


def enter_notices() -> int:
    """Write notices of last month's statements; return how many.

    Idempotent: a statement has one notice, also while several processes do this.
    """
    now = timezone.now().astimezone(EASTERN)
    if now.day > DAYS:
        return 0
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = first.replace(year=first.year - (first.month == 1), month=(first.month - 2) % 12 + 1)
    with connection.cursor() as cursor:
        cursor.execute(
            ENTER,
            {"cause": f"{last:%Y-%m}", "month": f"{last:%B %Y}", "first": first, "most": NOTICES_A_ROUND_MAX},
        )
        return int(cursor.rowcount)


ENTER = """
    INSERT INTO accounts_notice (customer_id, kind, cause, title, text)
    SELECT customer.id, 'statements', %(cause)s::text, 'Your statement for ' || %(month)s::text,
           'Your statement for ' || %(month)s::text || ' is ready. Open it under Statements, as a page or as PDF.'
    FROM accounts_customer AS customer
    WHERE customer.is_active AND NOT customer.is_staff
      AND EXISTS (SELECT FROM accounts_posting WHERE customer_id = customer.id AND created_at < %(first)s::timestamptz)
      AND NOT EXISTS (SELECT FROM accounts_mutednotice WHERE customer_id = customer.id AND kind = 'statements')
      AND NOT EXISTS (
          SELECT FROM accounts_notice
          WHERE customer_id = customer.id AND kind = 'statements' AND cause = %(cause)s::text)
    ORDER BY customer.id LIMIT %(most)s
    ON CONFLICT DO NOTHING
"""
