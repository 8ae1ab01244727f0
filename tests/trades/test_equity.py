"""Past holdings are computed without reading postings from before the period."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.customers import create_customer
from accounts.models import Posting
from tests.conftest import StandInExchange
from tests.factories import PostingFactory
from tests.history import customer_with_history
from trades import equity
from trades.equity import Held, held_at

pytestmark = pytest.mark.django_db
OLD_POSTINGS = 2000


@pytest.mark.parametrize("days", [400, 100, 13, 4, 1])
def test_past_holdings_are_the_totals_of_the_last_postings(exchange: StandInExchange, days: int) -> None:
    ada = customer_with_history()
    now = timezone.now()
    moments = [now - timedelta(days=days) * part / 20 for part in range(20, -1, -1)]
    holdings = [{ticker: total for ticker, total in held.items() if total} for held in held_at(ada.id, moments)]
    expected: list[Held] = []
    for moment in moments:
        postings = Posting.objects.filter(customer=ada, created_at__lte=moment).order_by("id")
        last = dict(postings.values_list("ticker", "total"))
        expected.append({ticker: total for ticker, total in last.items() if total})
    assert holdings == expected


def test_postings_from_before_the_first_moment_are_not_read() -> None:
    customer = create_customer("busy@example.com", None)
    now = timezone.now()
    times = [now - timedelta(days=90) + timedelta(minutes=number) for number in range(OLD_POSTINGS)]
    times += [now - timedelta(minutes=30 - number) for number in range(3)]
    Posting.objects.bulk_create([PostingFactory.build(customer=customer, created_at=at) for at in times])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_posting")
        moments = [now - timedelta(hours=1), now]
        cursor.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {equity.HELD}",
            {"customer": customer.id, "first": moments[0], "moments": moments},
        )
        (plan,) = cursor.fetchone()[0]
    assert sum(_rows_read(plan["Plan"])) <= 10


def _rows_read(node: dict[str, Any]) -> Iterator[float]:
    """Yield the number of postings that each node of a plan reads."""
    if node.get("Relation Name") == "accounts_posting":
        yield (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    for child in node.get("Plans", []):
        yield from _rows_read(child)
