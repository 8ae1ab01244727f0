"""Good-faith violations as staff see them, and how staff lift a restriction."""

from datetime import timedelta
from typing import Any

from accounts.models import Customer
from office.models import AuditEntry
from office.roles import Role
from tests.people import violate
from web.timezones import eastern_today


def test_a_restriction_is_lifted_with_a_reason(browser_of: Any, broke: Customer) -> None:
    browser, page = browser_of(Role.RISK), f"/admin/accounts/customer/{broke.id}/change/"
    assert "Lift the restriction" not in browser.get(page).content.decode()
    for _ in range(3):
        violate(broke)
    html = browser.get(page).content.decode()
    assert "Buys with settled cash only until" in html
    assert "3 good-faith violations within 12 months" in html
    assert "Lift the restriction" in html
    response = browser.post(f"/admin/do/lift-restriction/{broke.id}/", {"reason": "A mistake of ours."}, follow=True)
    assert "can buy with unsettled cash again" in response.content.decode()
    entry = AuditEntry.objects.get(action="lift-restriction", outcome="done")
    assert (entry.before["settledCashUntil"], entry.after["settledCashUntil"]) == (  # type: ignore[index]
        str(eastern_today() + timedelta(days=90)),
        None,
    )
    assert "A mistake of ours." in browser.get(f"{page}?tab=history").content.decode()
    again = browser.post(f"/admin/do/lift-restriction/{broke.id}/", {"reason": "Again."}, follow=True)
    assert "This account is not restricted." in again.content.decode()
