"""Plant errors in correct books, and assert that the audit finds them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from accounts.audit import Rule, examine
from accounts.models import Customer
from tests import people
from tests.guarantees import lift_guarantees
from tests.lasting import lasting

Books = Callable[[Customer, Customer], dict[str, Any]]


@contextmanager
def shared_books(books: Books, blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """Create Alice's and Bob's books for all tests of a class; yield the ids by name."""
    with lasting(blocker):
        yield books(people.alice(), people.bob())


def assert_found(rules: Sequence[Rule], rule: str, plant: str, names: dict[str, str], ids: dict[str, Any]) -> None:
    """Assert that the audit finds a planted error.

    Args:
        rules: The rules to examine.
        rule: The name of the rule that the error breaks.
        plant: The SQL statement that plants the error; its parameters are `ids`.
        names: The fields that the violation must have; each value is the name of an id, or a literal after "=".
        ids: The ids of the books, by name.
    """
    lift_guarantees()
    with connection.cursor() as cursor:
        cursor.execute(plant, ids)
        assert cursor.rowcount
    expected = {key: name[1:] if name[0] == "=" else str(ids[name]) for key, name in names.items()}
    findings = examine(rules)
    violations = [violation for violation in findings.violations if violation["rule"] == rule]
    texts = [{key: str(value) for key, value in violation.items()} for violation in violations]
    assert [violation for violation in texts if expected.items() <= violation.items()], findings.violations
    assert len(violations) == findings.counts[rule]
    assert all(violation["detail"] and None not in violation.values() for violation in violations)
