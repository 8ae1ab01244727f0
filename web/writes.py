"""Writes: changes to several tables, sent to the database as one statement.

    with Writes() as writes:
        transitions.end(writes, endings, by)
        books.add_to(writes)

Each part is one or more data-modifying CTEs. Most of what a small write costs is the statement and its round trip, so
one statement with five parts is much cheaper than five statements.

PostgreSQL executes the parts of a statement in any order and against one snapshot: no part sees what another one
changes. Where one must come after another, call `execute` in between.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from django.db import connection


class Part(NamedTuple):
    """CTEs with their parameters, an expression over them, and a function that checks its value."""

    ctes: str
    parameters: Sequence[Any]
    result: str
    check: Callable[[Any], None]


class Writes:
    """Collects the parts of a statement. As a context manager, it executes them at the end, if there was no error."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def add(
        self, ctes: str, parameters: Sequence[Any], result: str = "NULL", check: Callable[[Any], None] = lambda _: None
    ) -> None:
        """Add a part.

        Args:
            ctes: `ended AS (UPDATE …), history AS (INSERT …)`. No other part of the statement has these names.
            parameters: Their parameters.
            result: An expression over the CTEs: `(SELECT count(*) FROM ended)`.
            check: Is called with the value of the expression, and may raise.
        """
        self._parts.append(Part(ctes, parameters, result, check))

    def execute(self) -> None:
        """Execute the parts that were added since the last time. Without any, it does nothing."""
        parts, self._parts = self._parts, []
        if not parts:
            return
        statement = f"WITH {', '.join(part.ctes for part in parts)} SELECT {', '.join(part.result for part in parts)}"
        with connection.cursor() as cursor:
            cursor.execute(statement, [value for part in parts for value in part.parameters])
            results = cursor.fetchone()
        for part, result in zip(parts, results, strict=True):
            part.check(result)

    def __enter__(self) -> "Writes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.execute()
