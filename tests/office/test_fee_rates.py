"""Staff see the schedule of fees, with where each rate comes from."""

from collections.abc import Callable
from io import StringIO

from django.core.management import call_command
from django.test import Client

from office.roles import Role


def test_staff_see_the_example_schedule(browser_of: Callable[[Role], Client]) -> None:
    risk = browser_of(Role.RISK)
    assert "No rates: no fees are charged." in risk.get("/admin/controls/").content.decode()
    call_command("load_fee_rates", stdout=StringIO())
    shown = risk.get("/admin/controls/").content.decode()
    assert "EXAMPLE, check before use: SEC, Section 31 fee rate advisory for fiscal year 2026" in shown
    assert "SR-FINRA-2026-021: no TAF for three months" in shown
