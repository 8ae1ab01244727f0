"""The audit of the books: proves from the tables alone that they are right.

A rule is an SQL statement that finds violations. This package has the mechanism and the rules about the books;
`trades.audit` has the rules about trades. A proof examines all rows, or only those that changes since an earlier proof
can have affected (`accounts.audit.changes`).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from accounts.audit.books import BOOKS
from accounts.audit.rule import CLOCKS_APART_SECONDS_MAX, Rule, Scope

__all__ = ["BOOKS", "CLOCKS_APART_SECONDS_MAX", "Findings", "Rule", "Scope", "count_rows", "examine", "one_instant"]

LISTED_MAX = 100  # violations listed per rule; all of them are counted
STATEMENT_SECONDS_MAX = 600
WORK_MEM = "64MB"  # the database's memory for one sort or hash; larger ones use its disk


@dataclass(slots=True)
class Findings:
    """The number of violations of each rule, and the first LISTED_MAX violations of each as JSON objects."""

    counts: dict[str, int] = field(default_factory=dict)
    violations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not any(self.counts.values())


@contextmanager
def one_instant() -> Iterator[None]:
    """Open a transaction that reads everything as of one instant, however long it takes and whatever changes meanwhile.

    Locks nothing, and can't write.

    Raises:
        RuntimeError: A transaction is already open.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET LOCAL transaction_timeout = 0")
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS_MAX}s'")
            cursor.execute(f"SET LOCAL work_mem = '{WORK_MEM}'")
            # One processor does the work, however many there are, so that the others are left to trading.
            cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            # How many customers have changed decides which plan is good, so no plan is kept for the next proof.
            cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            # It would keep the text of every report, to parse none of them twice, and no two are the same.
            cursor.execute("SET LOCAL enable_memoize = off")
        with connection.answer_limit(STATEMENT_SECONDS_MAX):  # type: ignore[attr-defined] # of brokerage.database
            yield


def examine(rules: Iterable[Rule], narrowed: Callable[[Rule], tuple[str, dict[str, Any]]] | None = None) -> Findings:
    """Find the violations of these rules, with one statement for each.

    Args:
        narrowed: Returns the beginning of a rule's statement that narrows its tables, and the parameters. Without it,
            all rows are examined.
    """
    findings = Findings()
    with connection.cursor() as cursor:
        if narrowed is None:
            # A nested loop takes quadratic time if the planner expects few rows, because its statistics are old.
            cursor.execute("SET LOCAL enable_nestloop = off")
        for rule in rules:
            violations = rule.violations.replace("%", "%%")
            begin, parameters = narrowed(rule) if narrowed else ("", {})
            cursor.execute(
                f"{begin} SELECT count(*) OVER () AS total, found.* FROM ({violations}) AS found LIMIT {LISTED_MAX}",
                parameters,
            )
            columns = [column.name for column in cursor.description]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            findings.counts[rule.name] = rows[0]["total"] if rows else 0
            findings.violations += [
                {"rule": rule.name}
                | {name: value for name, value in row.items() if name != "total" and value is not None}
                for row in rows
            ]
    return findings


def count_rows(table: str) -> int:
    """Return how many rows a table has."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])
