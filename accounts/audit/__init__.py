"""The audit of the books: proves from the tables alone that they are right.

A rule is an SQL statement that finds violations. This package has the mechanism and the rules about the books;
`trades.audit` has the rules about trades. A proof examines all rows, or only those that changes since an earlier proof
can have affected (`accounts.audit.changes`).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from accounts.audit.books import BOOKS
from accounts.audit.rule import CLOCKS_APART_SECONDS_MAX, Rule, Scope

__all__ = ["BOOKS", "CLOCKS_APART_SECONDS_MAX", "Findings", "Rule", "Scope", "count_rows", "examine", "one_instant"]

LISTED_MAX = 100  # violations listed per rule; all of them are counted
STATEMENT_SECONDS_MAX = 600
FEW_ROWS_SECONDS_MAX = 3  # a plan that takes longer did not expect so many rows
REST_SECONDS_MAX = 30
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
def one_instant(rests: float = 0.0) -> Iterator[None]:
    """Open a transaction that reads everything as of one instant, however long it takes and whatever changes meanwhile.

    Locks nothing, and can't write.

    Args:
        rests: How long to rest after each statement, in multiples of the time that it took; REST_SECONDS_MAX at most.
            Trading on the same processors then has to wait for it less often.

    Raises:
        RuntimeError: A transaction is already open.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET LOCAL transaction_timeout = 0")
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS_MAX}s'")
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{2 * REST_SECONDS_MAX}s'")
            cursor.execute(f"SET LOCAL work_mem = '{WORK_MEM}'")
            # One processor does the work, however many there are, so that the others are left to trading.
            cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            # How many customers have changed decides which plan is good, so no plan is kept for the next proof.
            cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            # It would keep the text of every report, to parse none of them twice, and no two are the same.
            cursor.execute("SET LOCAL enable_memoize = off")

        def execute_and_rest(execute: Callable[..., Any], *statement: Any) -> Any:
            began = time.monotonic()
            try:
                return execute(*statement)
            finally:
                time.sleep(min(REST_SECONDS_MAX, rests * (time.monotonic() - began)))

        # answer_limit is of brokerage.database.
        with connection.answer_limit(STATEMENT_SECONDS_MAX), connection.execute_wrapper(execute_and_rest):  # type: ignore[attr-defined]
            yield


def examine(rules: Iterable[Rule], narrowed: Callable[[Rule], tuple[str, dict[str, Any]]] | None = None) -> Findings:
    """Find the violations of these rules, with one statement for each.

    Args:
        narrowed: Returns the beginning of a rule's statement that narrows its tables, and the parameters. Without it,
            all rows are examined.
    """
    findings = Findings()
    for rule in rules:
        violations = rule.violations.replace("%", "%%")
        begin, parameters = narrowed(rule) if narrowed else ("", {})
        rows = _rows(
            f"{begin} SELECT count(*) OVER () AS total, found.* FROM ({violations}) AS found LIMIT {LISTED_MAX}",
            parameters,
            are_few=narrowed is not None,
        )
        findings.counts[rule.name] = rows[0]["total"] if rows else 0
        findings.violations += [
            {"rule": rule.name} | {name: value for name, value in row.items() if name != "total" and value is not None}
            for row in rows
        ]
    return findings


def _rows(statement: str, parameters: dict[str, Any], *, are_few: bool) -> list[dict[str, Any]]:
    """Run a statement and return its rows.

    A nested loop is the best plan for few rows, and takes quadratic time for many. The planner can't tell how many
    there are if its statistics are old, for example about a kind of posting that is new. So a plan with nested loops is
    given up after a while.

    Args:
        are_few: Whether the statement is about few rows, as far as is known.
    """
    if are_few:
        before = transaction.savepoint()
        try:
            rows = _planned_rows(statement, parameters, "on", FEW_ROWS_SECONDS_MAX)
        except OperationalError as error:
            if not isinstance(error.__cause__, QueryCanceled):
                raise
            transaction.savepoint_rollback(before)
        else:
            transaction.savepoint_commit(before)
            return rows
    return _planned_rows(statement, parameters, "off", STATEMENT_SECONDS_MAX)


def _planned_rows(
    statement: str, parameters: dict[str, Any], nested_loops: str, seconds_max: float
) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL enable_nestloop = {nested_loops}")
        cursor.execute(f"SET LOCAL statement_timeout = '{seconds_max}s'")
        cursor.execute(statement, parameters)
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def count_rows(table: str) -> int:
    """Return how many rows a table has."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])
