"""The audit log: append-only, chained, checkable, exportable."""

import csv
import io
import json
import threading
from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from accounts.models import Customer
from office import audit
from office.audit import Actor
from office.models import AuditEntry, AuditHead
from office.roles import Role
from office.templatetags.office import plain
from trades.models import Trade

SAM = Actor(None, "sam@example.com", "192.0.2.1")


def write(entries: int) -> None:
    for number in range(entries):
        audit.record(SAM, "see customer", AuditEntry.Outcome.SEEN, customer_id=number, before={"a": 1, "b": "ü"})


def tamper(statement: str) -> None:
    """Change rows as a database superuser could, bypassing the triggers."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE office_auditentry DISABLE TRIGGER USER")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE office_auditentry ENABLE TRIGGER USER")


def test_amounts_are_shown_in_cents_however_deep_they_are() -> None:
    display = plain({"cash": "25.5000", "lots": [{"price": "10.0025"}, "-3.0000"], "halted": False})
    assert display == "cash: 25.50, lots: price: 10.0025, -3.00, halted: no"


def test_an_untouched_chain_passes_the_check(db: None) -> None:
    assert audit.check() == audit.Check(0, [], "")
    write(5)
    result = audit.check()
    assert (result.entries, result.wrong) == (5, [])
    assert result.head == AuditEntry.objects.get(number=5).digest


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE office_auditentry SET reason = 'none' WHERE number = 3", "entry 3 was changed after it was written"),
        ("UPDATE office_auditentry SET before = '{}' WHERE number = 3", "entry 3 was changed after it was written"),
        (
            "UPDATE office_auditentry SET at = at + interval '1 s' WHERE number = 3",
            "entry 3 was changed after it was written",
        ),
        ("DELETE FROM office_auditentry WHERE number = 3", "entry 3 is missing"),
        ("DELETE FROM office_auditentry WHERE number = 5", "the log ends with entry 4, but its head says 5"),
        ("DELETE FROM office_auditentry", "the log ends with entry 0, but its head says 5"),
    ],
)
def test_tampering_is_found(db: None, statement: str, expected: str) -> None:
    write(5)
    tamper(statement)
    problems = audit.check().wrong
    assert any(expected in line for line in problems), problems
    with pytest.raises(SystemExit):
        call_command("check_audit_log", stdout=io.StringIO())


@pytest.mark.parametrize("statement", ["UPDATE office_auditentry SET reason = 'x'", "DELETE FROM office_auditentry"])
def test_the_database_keeps_entries(db: None, statement: str) -> None:
    write(1)
    with pytest.raises(DatabaseError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_simultaneous_entries_make_one_chain() -> None:
    start = threading.Barrier(8)

    def write_ten() -> None:
        start.wait()
        try:
            write(10)
        finally:
            connection.close()

    threads = [threading.Thread(target=write_ten) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert AuditEntry.objects.count() == 80
    assert audit.check().wrong == []
    assert AuditHead.objects.get().number == 80


def test_exported_for_one_customer_or_one_trade(
    browser_of: Callable[[Role], Client], alice: Customer, bob: Customer
) -> None:
    browser = browser_of(Role.COMPLIANCE)
    trade = Trade.objects.get()
    for url in (f"accounts/customer/{bob.id}", f"accounts/customer/{alice.id}", f"trades/trade/{trade.id}"):
        browser.get(f"/admin/{url}/change/")

    def exported(query: str) -> list[dict[str, str]]:
        response = browser.get(f"/admin/office/auditentry/export/?{query}")
        return list(csv.DictReader(io.StringIO(response.content.decode())))

    assert [row["action"] for row in exported(f"customer={alice.id}")] == ["see trade", "see customer"]
    assert [row["tradeId"] for row in exported(f"trade={trade.id}")] == [str(trade.id)]
    html = browser.get(f"/admin/office/auditentry/?customer={bob.id}").content.decode()
    assert f"looked at a customer: {bob.email}" in html
    # The export itself was recorded, with its filter.
    entry = AuditEntry.objects.filter(action="export").order_by("number").first()
    assert entry
    assert entry.after == {"customer": str(alice.id)}
    assert json.dumps(entry.after)
