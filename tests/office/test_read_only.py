"""Books, trades, history and the audit log can't be edited or deleted in the admin by any role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.db import DatabaseError, connection, transaction
from django.test import Client

from accounts.customers import create_customer
from accounts.models import Customer
from office import audit
from office.audit import Actor
from office.models import AuditEntry
from office.roles import Role
from tests.factories import NoteFactory
from tests.office.conftest import signed_in
from trades.models import Trade


@pytest.mark.parametrize("role", [*Role, None])
def test_no_role_can_add_change_or_delete_rows(
    browser_of: Callable[[Role], Client], alice: Customer, role: Role | None
) -> None:
    owner = create_customer("owner@example.com", None, is_staff=True, is_superuser=True)
    browser = browser_of(role) if role else signed_in(owner)
    for model, table in admin.site._registry.items():
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
        row: Any = model._default_manager.first()
        assert browser.post(f"{address}/add/", {}).status_code == 403, address
        form = {"action": "delete_selected", "_selected_action": "1"}
        assert browser.post(f"{address}/", form).status_code in {200, 302, 403}
        if row is not None:
            assert browser.post(f"{address}/{row.pk}/change/", {"status": "FILLED"}).status_code == 403, address
            assert browser.post(f"{address}/{row.pk}/delete/", {"post": "yes"}).status_code == 403, address
            assert model._default_manager.filter(pk=row.pk).exists()
        assert not table.has_change_permission(None)  # type: ignore[arg-type]
        assert not table.has_delete_permission(None)  # type: ignore[arg-type]
        assert not table.get_actions(None)  # type: ignore[arg-type]


def test_only_our_own_lists_are_registered() -> None:
    """Tables that other apps register could be edited without our own functions and the audit log."""
    from office.tables.table import Table

    assert all(isinstance(table, Table) for table in admin.site._registry.values())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_posting SET change = 1",
        "DELETE FROM accounts_posting",
        "UPDATE trades_trade SET amount = 1",
        "DELETE FROM trades_trade",
        "UPDATE trades_statuschange SET reason = 'x'",
        "DELETE FROM trades_statuschange",
        "UPDATE trades_report SET body = '{}'",
        "DELETE FROM trades_report",
        "UPDATE office_auditentry SET reason = 'x'",
        "UPDATE office_note SET text = 'x'",
        "DELETE FROM office_note",
    ],
)
def test_the_database_refuses_edits_too(alice: Customer, bob: Customer, statement: str) -> None:
    audit.record(Actor(None, "x"), "see customer", AuditEntry.Outcome.SEEN)
    NoteFactory.create(customer=alice, by=bob)
    assert Trade.objects.exists()
    with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
