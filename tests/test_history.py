"""The customer with a history that other tests use has correct books."""

import pytest
from django.utils import timezone

from accounts.models import CASH, Posting
from tests.conftest import StandInExchange
from tests.history import DAYS_AGO, customer_with_history
from trades.audit import audit_books


@pytest.mark.django_db(transaction=True)
def test_the_books_of_a_customer_with_a_history_are_correct(exchange: StandInExchange) -> None:
    customer_with_history()
    audit = audit_books()
    assert audit.findings.violations == []
    trades = [ticker for actions in DAYS_AGO.values() for ticker, _ in actions if ticker != CASH]
    assert (audit.customers, audit.trades) == (1, len(trades))
    days = [(timezone.now() - at).days for at in Posting.objects.order_by("id").values_list("created_at", flat=True)]
    assert days == sorted(days, reverse=True)
    assert (days[0], days[-1]) == (329, 0)
