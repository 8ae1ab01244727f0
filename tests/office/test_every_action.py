"""Every action, tried by every role: it is done and audited, or refused without changing anything."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Adjustment, Balance, Limits
from office.actions import ACTIONS
from office.models import AuditEntry, Note
from office.roles import POWERS, Power, Role, appoint, may
from tests import people
from tests.conftest import StandInExchange
from tests.lasting import lasting
from tests.office.conftest import signed_in
from tests.office.test_actions import FORMS, TESTED_ELSEWHERE, make_targets, url_of
from trades.models import Status, Trade, TradingControl

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def targets(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    with lasting(django_db_blocker):
        yield make_targets(people.alice(), people.bob())


@pytest.fixture(scope="module")
def browsers(targets: dict[str, Any]) -> dict[Role, Client]:
    """Return the signed-in browser of each role."""
    return {role: signed_in(appoint(f"{role.value}@staff.example.com", role)) for role in Role}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", [name for name in ACTIONS if not name.endswith(TESTED_ELSEWHERE)])
def test_every_action_as_every_role(
    browsers: dict[Role, Client], targets: dict[str, Any], role: Role, name: str, exchange: StandInExchange
) -> None:
    allowed = role in POWERS[ACTIONS[name].power]
    Balance.objects.update(settled_cash_until=date(2100, 1, 1))  # so that there is a restriction to lift
    response = browsers[role].post(url_of(name, targets), FORMS.get(name, {"reason": "Because."}))
    outcomes = list(AuditEntry.objects.filter(action=name).order_by("number").values_list("outcome", flat=True))
    if allowed:
        assert response.status_code == 302, response.content
        assert outcomes == ["asked", "done"]
    else:
        assert response.status_code == 403
        assert outcomes == ["refused"]
        assert Trade.objects.filter(status=Status.PLACED).count() == 1
        assert not TradingControl.objects.exists()
        assert not Note.objects.exists()
        assert not Limits.objects.exists()
        assert Adjustment.objects.get().approved is None


def test_customers_have_no_staff_permissions(targets: dict[str, Any]) -> None:
    alice = targets["customer"]
    assert not any(may(alice, power) or may(AnonymousUser(), power) for power in Power)
