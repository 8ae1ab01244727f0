"""No CSV export contains text that a spreadsheet would run as a formula."""

import csv
import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from accounts.models import Customer
from exchange import market
from office import audit
from office.audit import Actor
from office.models import AuditEntry
from office.roles import Role, appoint
from office.tables.table import Table
from tests.factories import CaseFactory, StockFactory
from tests.office.conftest import signed_in
from tests.people import open_account, receive_shares

pytestmark = pytest.mark.django_db
FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1", '=HYPERLINK("https://evil.example","x")']
NUMBER = re.compile(r"[+-]?[0-9.]+")
EXPORTS = [
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/export/"
    for model, table in admin.site._registry.items()
    if isinstance(table, Table) and table.exported
]


def cells(response: Any) -> list[str]:
    assert response.status_code == 200
    content = response.content.decode()
    return [cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row]


def is_formula(cell: str) -> bool:
    return cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} and not NUMBER.fullmatch(cell)


@pytest.fixture
def hostile() -> list[Customer]:
    """Create customers, exceptions and audit log entries with text that a spreadsheet would run."""
    customers = []
    for number, formula in enumerate(FORMULAS):
        customer = open_account(f"{number}@example.com", Decimal(100))
        Customer.objects.filter(id=customer.id).update(name=formula)
        CaseFactory.create(key=formula, detail=formula, customer=customer)
        audit.record(
            Actor(customer.id, formula, formula[:60]), "note", AuditEntry.Outcome.DONE, subject=formula, reason=formula
        )
        customers.append(customer)
    return customers


def test_the_exports_are_found() -> None:
    assert len(EXPORTS) >= 3


@pytest.mark.parametrize("url", EXPORTS)
def test_an_export_of_the_back_office_contains_no_formula(hostile: list[Customer], url: str) -> None:
    staff = signed_in(appoint("compliance@staff.example.com", Role.COMPLIANCE))
    exported = cells(staff.get(url))
    assert exported
    assert [cell for cell in exported if is_formula(cell)] == []


def test_a_customers_ledger_contains_no_formula(bob: Customer) -> None:
    """The exchange chooses a stock's name, so it could be a formula."""
    StockFactory.create(ticker="=1+1")
    market.forget()
    receive_shares(bob, "=1+1", 1, Decimal(1))
    client = Client()
    client.force_login(bob)
    exported = cells(client.get("/cash/ledger.csv"))
    assert any("1+1" in cell for cell in exported)
    assert [cell for cell in exported if is_formula(cell)] == []


def test_the_check_detects_a_formula(hostile: list[Customer], monkeypatch: pytest.MonkeyPatch) -> None:
    unescaped: Callable[[Any], str] = str
    monkeypatch.setattr("office.tables.export.cell", unescaped)
    staff = signed_in(appoint("compliance@staff.example.com", Role.COMPLIANCE))
    assert any(is_formula(cell) for cell in cells(staff.get("/admin/office/auditentry/export/")))
