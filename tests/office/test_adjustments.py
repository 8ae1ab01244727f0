"""An adjustment that can't be booked is not even requested."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Adjustment, Customer
from exchange import market
from office.roles import Role
from tests.conftest import StandInExchange


@pytest.mark.parametrize(
    ("terms", "available"),
    [({"change": "-1000.01"}, "1,000.00 USD"), ({"ticker": "AAPL", "change": "-11"}, "10 AAPL")],
    ids=["cash", "shares"],
)
def test_an_adjustment_that_cannot_be_booked_is_not_requested(
    browser_of: Callable[[Role], Client],
    alice: Customer,
    exchange: StandInExchange,
    terms: dict[str, str],
    available: str,
) -> None:
    market.refresh()
    form = {"kind": "goodwill", "reason": "Taken twice."} | terms
    page = browser_of(Role.OPERATIONS).post(f"/admin/do/adjust/{alice.id}/", form, follow=True).content.decode()
    assert f"The account has {available} available" in page
    assert not Adjustment.objects.exists()
