"""The simulated staff of the fault suite do what its plan asks of them."""

import contextlib
import io
import subprocess
import threading
from typing import Any, cast

import pytest
from django.contrib.sessions.models import Session
from pytest_django.live_server_helper import LiveServer

from chaos.plan import STAFF
from chaos.staff import Refused, Staff
from local.harness import Brokerage
from tests.factories import StockFactory
from trades.controls import controls_in_force

NEVER = threading.Event()


class ThisProcess:
    """A brokerage whose management commands run in this process."""

    def manage(self, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(arguments[-1], {})  # noqa: S102 — the script of the suite itself
        return subprocess.CompletedProcess(arguments, 0, output.getvalue(), "")


@pytest.fixture
def staff(transactional_db: None, live_server: LiveServer) -> Staff:
    for ticker in ("WMT", "IBM"):
        StockFactory.create(ticker=ticker)
    return Staff(cast(Brokerage, ThisProcess()), live_server.url)


def form_of(control: dict[str, Any], *names: str) -> dict[str, str]:
    return {name: control[name] for name in names if name in control}


@pytest.mark.parametrize("control", STAFF, ids=lambda control: f"{control['does']} {control.get('kind', '')}")
def test_a_control_is_set_and_lifted(staff: Staff, control: dict[str, Any]) -> None:
    for _ in range(2):  # it may have been done although nothing was answered
        staff.do(control["does"], form_of(control, "ticker", "kind", "value"), NEVER)
        assert len(controls_in_force()) == 1
    for _ in range(2):
        staff.do(control["undoes"], form_of(control, "ticker", "kind"), NEVER)
        assert not controls_in_force()


def test_staff_sign_in_again(staff: Staff) -> None:
    Session.objects.all().delete()
    staff.do("halt-all", {}, NEVER)
    assert controls_in_force()


def test_a_refused_action_is_not_repeated(staff: Staff) -> None:
    with pytest.raises(Refused, match="422"):
        staff.do("halt-all", {"confirm": "PLEASE"}, NEVER)
