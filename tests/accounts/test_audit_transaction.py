"""The transaction of an audit: what it sees, how long it may take, and how it gives way to others."""

import time
from decimal import Decimal
from threading import Thread

import pytest
from django.db import DatabaseError, connection

from accounts.audit import BOOKS, Rule, count_rows, examine, one_instant
from accounts.funding import deposit
from accounts.models import Customer, Position

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_audit_sees_one_instant_and_writes_nothing(alice: Customer) -> None:
    def deposit_one_dollar() -> None:
        deposit(alice.id, Decimal(1))
        connection.close()

    with one_instant():
        before = count_rows("accounts_posting")
        thread = Thread(target=deposit_one_dollar)
        thread.start()
        thread.join()
        assert count_rows("accounts_posting") == before
        assert examine(BOOKS).ok
    assert count_rows("accounts_posting") == before + 1
    with pytest.raises(DatabaseError, match="read-only"), one_instant():
        Position.objects.update(held=0)


def test_an_audit_rests_after_each_statement_in_its_own_time(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '100ms'")
    try:
        with one_instant(rests=2), connection.cursor() as cursor:
            began = time.monotonic()
            cursor.execute("SELECT pg_sleep(0.1)")
            assert time.monotonic() - began >= 0.3
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def test_a_plan_for_few_rows_is_given_up_if_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested loops over many rows take quadratic time; here they take 600 s."""
    monkeypatch.setattr("accounts.audit.FEW_ROWS_SECONDS_MAX", 0.2)
    slow = "SELECT pg_sleep(CASE current_setting('enable_nestloop') WHEN 'on' THEN 600 ELSE 0 END)::text AS detail"
    slow_rule = Rule("takes_long", "Takes long", "It ends.", slow)
    quick_rule = Rule("is_quick", "Is quick", "It ends.", "SELECT current_setting('enable_nestloop') AS detail")
    with one_instant():
        findings = examine([slow_rule, quick_rule], narrowed=lambda rule: ("", {}))
    assert findings.counts == {"takes_long": 1, "is_quick": 1}
    assert findings.violations[1] == {"rule": "is_quick", "detail": "on"}


def test_an_audit_may_take_longer_than_other_transactions(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET transaction_timeout = '300ms'")
        cursor.execute("SET statement_timeout = '200ms'")
    try:
        with one_instant(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.5)")
        with connection.cursor() as cursor, pytest.raises(DatabaseError, match="statement timeout"):
            cursor.execute("SELECT pg_sleep(0.5)")  # after the audit, the limits apply again
    finally:
        connection.close()
