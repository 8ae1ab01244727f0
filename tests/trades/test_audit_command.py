"""`manage.py audit_books`: its output and its exit code."""

import json
import re
import time
from decimal import Decimal
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from accounts.audit import BOOKS, one_instant
from accounts.funding import deposit
from accounts.models import Balance, Customer
from office.models import Proof
from tests.trades.test_audit import books
from trades.audit import TRADES, audit_books

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ids(alice: Customer, bob: Customer) -> dict[str, Any]:
    return books(alice, bob)


def audit(*arguments: str) -> tuple[int, str]:
    output = StringIO()
    try:
        call_command("audit_books", *arguments, stdout=output)
    except SystemExit as exit_status:
        return int(str(exit_status.code)), output.getvalue()
    return 0, output.getvalue()


@pytest.fixture
def ids_of_wrong_books(ids: dict[str, Any]) -> dict[str, Any]:
    Balance.objects.filter(customer=ids["bob"]).update(amount=7)
    return ids


def test_correct_books_exit_with_0(ids: dict[str, Any]) -> None:
    code, text = audit("--json")
    response = json.loads(text)
    assert (code, text.count("\n")) == (0, 1)
    assert {name: response[name] for name in ("ok", "customers", "trades", "postings", "violations")} == {
        "ok": True,
        "customers": 2,
        "trades": 9,
        "postings": 11,
        "violations": [],
    }
    assert response["violationsCount"] == 0
    assert response["rules"] == {rule.name: 0 for rule in BOOKS + TRADES}


def test_changes_since_the_last_stored_proof_are_examined(ids: dict[str, Any]) -> None:
    first = json.loads(audit("--changes", "--json")[1])
    assert (first["full"], first["fullBecause"]) == (True, "there is no earlier proof to start from")
    assert Proof.objects.count() == 0
    full = json.loads(audit("--keep", "--json")[1])
    assert (full["full"], full["fullBecause"], full["changedCustomers"]) == (True, "", None)
    assert Proof.objects.get().asked_by == "manage.py audit_books"
    deposit(ids["bob"], Decimal(1))
    code, text = audit("--changes", "--keep")
    assert code == 0
    assert "Only changes were examined: those of 1 customer." in text
    assert Proof.objects.latest("id").earlier_id
    Balance.objects.filter(customer=ids["alice"]).update(amount=9999)
    code, text = audit("--changes", "--json")
    assert (code, json.loads(text)["changedCustomers"]) == (1, 1)


def test_wrong_books_exit_with_1(ids_of_wrong_books: dict[str, Any]) -> None:
    code, text = audit("--json")
    response = json.loads(text)
    assert (code, response["ok"], response["violationsCount"]) == (1, False, 1)
    assert response["violations"] == [
        {
            "rule": "balance_is_the_sum_of_its_postings",
            "customerId": ids_of_wrong_books["bob"],
            "detail": "the balance is 7.0000 USD, its postings add up to 300.0000",
        }
    ]


def test_trade_ids_are_strings(ids: dict[str, Any]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trades_trade DISABLE TRIGGER USER")
        cursor.execute("UPDATE trades_trade SET amount = amount - 1 WHERE id = %s", [ids["sold"]])
        cursor.execute("ALTER TABLE trades_trade ENABLE TRIGGER USER")
    code, text = audit("--json")
    violations = json.loads(text)["violations"]
    assert code == 1
    assert {violation["rule"] for violation in violations} == {
        "fill_has_its_postings",
        "fill_adds_up",
        "trade_is_as_reported",
    }
    assert {violation["tradeId"] for violation in violations} == {str(ids["sold"])}


def test_the_text_output(ids_of_wrong_books: dict[str, Any]) -> None:
    code, text = audit()
    assert code == 1
    assert text.startswith("2 customers, 9 trades, 11 postings\n")
    assert f"customerId {ids_of_wrong_books['bob']}: the balance is 7.0000 USD" in text
    assert "BROKEN balance_is_the_sum_of_its_postings: " in text
    assert text.endswith("1 violation.\n")
    Balance.objects.filter(customer=ids_of_wrong_books["bob"]).update(amount=300)
    code, text = audit()
    assert code == 0
    assert text.endswith("All rules hold.\n")


def test_audit_statements_have_no_time_limit() -> None:
    """Neither the server nor this process ends them, no matter how large the tables are."""
    connection.ensure_connection()
    connection.connection.answer_seconds_max = 0.2  # type: ignore[union-attr]
    with one_instant(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")


@pytest.mark.usefixtures("ids")
def test_a_full_proof_compares_no_rows_in_pairs() -> None:
    """Its time must not grow with the square of the rows, whatever the statistics say about them."""
    in_pairs: list[str] = []

    def explain(execute: Any, statement: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        if " AS found " in statement:
            ((plans,),) = execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters, many, context).fetchall()
            in_pairs.extend([statement] if compares_in_pairs(plans[0]["Plan"]) else [])
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(explain):
        assert audit_books().findings.counts
    assert in_pairs == []


def compares_in_pairs(node: dict[str, Any]) -> bool:
    """Whether a plan looks for equal columns by comparing each row of one side with each of the other."""
    own = node["Node Type"] == "Nested Loop" and re.search(r"\.\w+ = \w+\.", node.get("Join Filter", ""))
    return bool(own) or any(map(compares_in_pairs, node.get("Plans", ())))


@pytest.mark.usefixtures("ids")
def test_a_gentle_proof_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("accounts.audit.time", SimpleNamespace(monotonic=time.monotonic, sleep=rests.append))
    assert audit("--changes")[0] == 0
    assert not any(rests)
    rests.clear()
    assert audit("--changes", "--gently")[0] == 0
    assert all(rests)
    assert len(rests) > len(BOOKS + TRADES)


def test_a_proof_occupies_one_processor() -> None:
    """Trading goes on beside it, on the same server."""
    with one_instant(), connection.cursor() as cursor:
        for name in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            cursor.execute(f"SET LOCAL {name} = 0")  # parallel workers look free to the planner
        cursor.execute("EXPLAIN SELECT count(*) FROM trades_trade")
        assert "Gather" not in str(cursor.fetchall())
