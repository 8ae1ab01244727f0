"""Staff see the schedule of fees, with where each rate comes from."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO

from django.core.management import call_command
from django.test import Client

from office.models import Proposal
from office.roles import Role, appoint
from tests.office.conftest import signed_in
from trades import fees
from trades.models import FeeRate, Type
from web.timezones import eastern_today


def test_staff_see_the_example_schedule(browser_of: Callable[[Role], Client]) -> None:
    risk = browser_of(Role.RISK)
    assert "No rates: no fees are charged." in risk.get("/admin/controls/").content.decode()
    call_command("load_fee_rates", stdout=StringIO())
    html = risk.get("/admin/controls/").content.decode()
    assert "EXAMPLE, check before use: SEC, Section 31 fee rate advisory for fiscal year 2026" in html
    assert "SR-FINRA-2026-021: no TAF for three months" in html


def test_a_rate_needs_a_second_member_of_staff(browser_of: Callable[[Role], Client]) -> None:
    fees.expire()
    first_day = eastern_today() + timedelta(days=1)
    terms = {
        "kind": "sec",
        "first_day": f"{first_day}",
        "per_usd": "0.0000278",
        "per_share": "0",
        "reason": "A notice.",
    }
    browser_of(Role.RISK).post("/admin/do/enter-fee-rate/", terms)
    proposal = Proposal.objects.get()
    assert not FeeRate.objects.exists()
    browser_of(Role.RISK).post(f"/admin/do/approve-proposal/{proposal.id}/")
    assert not FeeRate.objects.exists(), "nobody approves what they asked for"
    signed_in(appoint("second@staff.example.com", Role.RISK)).post(f"/admin/do/approve-proposal/{proposal.id}/")
    rate = FeeRate.objects.get()
    assert (rate.kind, rate.first_day, rate.per_usd, rate.source) == (
        *("sec", first_day),
        *(Decimal("0.0000278"), "A notice."),
    )
    sold = (Type.SELL, 1000, Decimal(100_000))
    assert fees.fees_of(*sold, first_day, Decimal(100_000)) == {"sec": Decimal("2.78")}
    assert fees.fees_of(*sold, eastern_today(), Decimal(100_000)) == {}
