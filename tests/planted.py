"""Plant errors in correct books, and assert that the audit finds them: in full, and among what has changed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from accounts.audit import Findings, Rule, examine
from accounts.audit.changes import Changes, Mark, find_changes, narrowed
from accounts.models import Customer
from tests import people
from tests.guarantees import lift_guarantees
from tests.lasting import lasting
from trades.audit import ALL_RULES, TABLES

Books = Callable[[Customer, Customer], dict[str, Any]]


@contextmanager
def shared_books(books: Books, blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """Create Alice's and Bob's books for all tests of a class; yield the ids by name."""
    with lasting(blocker):
        yield books(people.alice(), people.bob())


def assert_found(rules: Sequence[Rule], rule: str, plant: str, names: dict[str, str], ids: dict[str, Any]) -> None:
    """Assert that the audit finds a planted error, both in full and when it starts from just before the error.

    Args:
        rules: The rules to examine.
        rule: The name of the rule that the error breaks.
        plant: The SQL statement that plants the error; its parameters are `ids`.
        names: The fields that the violation must have; each value is the name of an id, or a literal after "=".
        ids: The ids of the books, by name.
    """
    lift_guarantees()
    mark = mark_now()
    with transaction.atomic(), connection.cursor() as cursor:  # rows get the number of this savepoint
        cursor.execute(plant, ids)
        assert cursor.rowcount
    expected = {key: name[1:] if name[0] == "=" else str(ids[name]) for key, name in names.items()}
    for findings in (examine(rules), examine_changes(rules, mark)):
        violations = [violation for violation in findings.violations if violation["rule"] == rule]
        texts = [{key: str(value) for key, value in violation.items()} for violation in violations]
        assert [violation for violation in texts if expected.items() <= violation.items()], findings.violations
        assert len(violations) == findings.counts[rule]
        assert all(violation["detail"] and None not in violation.values() for violation in violations)


def mark_now() -> Mark:
    """Return a mark after everything that this transaction has written. What savepoints write from now on is later."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE last_written AS SELECT 1 AS row")
        cursor.execute("SELECT xmin::text::bigint FROM last_written")
        (last,) = cursor.fetchone()
        cursor.execute("DROP TABLE last_written")
    return find_changes(TABLES, ALL_RULES, None, oldest=last + 1).mark


def changes_since(mark: Mark) -> Changes:
    """Return what this transaction has changed since `mark_now`."""
    return find_changes(TABLES, ALL_RULES, mark, oldest=mark.transaction)


def examine_changes(rules: Sequence[Rule], mark: Mark) -> Findings:
    """Examine what a proof of the changes since a mark examines."""
    changes = changes_since(mark)
    return examine(rules, None if changes.everything else narrowed(TABLES, changes))
