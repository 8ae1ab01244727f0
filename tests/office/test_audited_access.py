"""Every access to a customer's data is recorded in the audit log."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.models import Customer, Posting
from office import cases
from office.cases import Finding, Kind
from office.models import AuditEntry, Case
from office.roles import Role
from tests.factories import AdjustmentFactory, CustomerFactory, SignInFactory, StockFactory
from trades.models import Report, Trade

ACCESSES = {
    "search by email": "/admin/find/?q=alice@example.com",
    "search by the beginning of an email": "/admin/find/?q=ali",
    "search by id": "/admin/find/?q={customer}",
    "search by trade": "/admin/find/?q={trade}",
    "search by adjustment": "/admin/find/?q={adjustment}",
    "search by cause": "/admin/find/?q={transfer}",
    "customers by email": "/admin/accounts/customer/?q=alice@example.com",
    "trades by email": "/admin/trades/trade/?q=alice@example.com",
    "trades by trade": "/admin/trades/trade/?q={trade}",
    "postings by cause": "/admin/accounts/posting/?q={trade}",
    "sign-ins by address": "/admin/accounts/signin/?address=192.0.2.33",
    "reports by trade": "/admin/trades/report/?q={trade}",
    "adjustments": "/admin/accounts/adjustment/",
    "exceptions": "/admin/office/case/",
    "a customer": "/admin/accounts/customer/{customer}/change/",
    "a trade": "/admin/trades/trade/{trade}/change/",
    "an exception": "/admin/office/case/{case}/change/",
    "an adjustment": "/admin/accounts/adjustment/{adjustment}/change/",
    "the form of an action": "/admin/do/freeze-trading/{customer}/",
    "an export": "/admin/accounts/posting/export/?q={trade}",
}


@pytest.fixture
def ids(alice: Customer, bob: Customer) -> dict[str, Any]:
    """Create Alice's rows of several kinds; return the ids by name."""
    StockFactory.create()
    trade = Trade.objects.get()
    cases.open_cases([Finding(Kind.BOOKS, "rule 1", "does not balance", alice.id)])
    SignInFactory.create(customer=alice, address="192.0.2.33")
    adjustment = AdjustmentFactory.create(customer=alice, asked_by=bob)
    assert Report.objects.filter(customer_id=alice.id).exists()
    return {
        "customer": alice.id,
        "trade": trade.id,
        "adjustment": adjustment.id,
        "case": Case.objects.get().id,
        "transfer": Posting.objects.filter(customer=alice, kind="deposit").latest("id").cause,
    }


@pytest.mark.parametrize("access", ACCESSES)
def test_every_access_to_a_customer_is_logged(
    browser_of: Callable[[Role], Client], ids: dict[str, Any], alice: Customer, access: str
) -> None:
    roles = [Role.COMPLIANCE] if access == "an export" else [Role.OPERATIONS]
    response = browser_of(roles[0]).get(ACCESSES[access].format(**ids))
    assert response.status_code in {200, 302}
    entries = AuditEntry.objects.filter(customer_id=alice.id, outcome="seen")
    assert entries.count() == 1, access
    assert entries.get().address == "192.0.2.7"


def test_a_page_with_many_customers_names_them_all(browser_of: Callable[[Role], Client], ids: dict[str, Any]) -> None:
    customer_ids = [CustomerFactory.create(email=f"zoe{n}@example.com").id for n in range(8)]
    browser_of(Role.OPERATIONS).get("/admin/find/?q=zoe")
    entry = AuditEntry.objects.get(action="search")
    assert (entry.customer_id, entry.after) == (None, {"searched": "zoe", "customers": sorted(customer_ids)})


def test_rows_are_accessible_only_through_audited_pages(
    browser_of: Callable[[Role], Client], ids: dict[str, Any]
) -> None:
    """Django's own pages for rows, their history and autocompletion do not write to the audit log."""
    browser = browser_of(Role.COMPLIANCE)
    for model in admin.site._registry:
        row: Any = model._default_manager.first()
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        if row is not None:
            assert browser.get(reverse(f"{name}_history", args=[row.pk])).status_code == 404
    posting = Posting.objects.latest("id")
    assert browser.get(f"/admin/accounts/posting/{posting.id}/change/").status_code == 404
    with pytest.raises(NoReverseMatch):
        reverse("admin:autocomplete")
    query = {"app_label": "office", "model_name": "case", "field_name": "customer", "term": "a"}
    assert browser.get("/admin/autocomplete/", query).status_code == 404


@pytest.mark.parametrize("name", ["search", "password_change"])
def test_links_of_the_theme_open_pages(browser_of: Callable[[Role], Client], alice: Customer, name: str) -> None:
    browser: Client = browser_of(Role.SUPPORT)
    response = browser.get(reverse(f"admin:{name}"), {"q": "alice"}, follow=True)
    assert response.status_code == 200
    assert len(response.redirect_chain) >= 1
    assert Trade.objects.count() == 1
