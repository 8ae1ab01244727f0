"""The query plans of the statements that code executes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from django.db import connection

HAS_A_PLAN = re.compile(r"[\s(]*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?s|%%")


@dataclass
class Plan:
    """One statement's plan: its kind, its cost, the tables that it scans completely, and its indexes."""

    kind: str
    statement: str
    cost: float = 0.0
    relations: int = 0
    read_whole: set[str] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)

    def add(self, node: dict[str, Any]) -> None:
        self.relations += "Relation Name" in node
        if node["Node Type"] == "Seq Scan":
            self.read_whole.add(node["Relation Name"])
        self.indexes |= {node["Index Name"]} if "Index Name" in node else set()
        self.indexes |= set(node.get("Conflict Arbiter Indexes", ()))
        for child in node.get("Plans", ()):
            self.add(child)


@contextmanager
def planned() -> Iterator[list[Plan]]:
    """Collect the plans of each statement of the default connection, of both kinds that PostgreSQL may choose.

    At first it plans for the statement's actual values. A statement that is executed often is prepared, and then gets
    one generic plan for all values, if that costs no more than the earlier plans including the planning itself.
    """
    plans: list[Plan] = []

    def record_plans(execute: Any, statement: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        if HAS_A_PLAN.match(statement):
            custom = _plan(AT_FIRST, statement, f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            generic = _plan(LATER, statement, f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {_numbered(statement)}", None)
            is_cheaper = generic.cost <= custom.cost + PLANNING_COST * (custom.relations + 1)
            plans.extend([custom, generic if is_cheaper else replace(custom, kind=LATER)])
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(record_plans):
        yield plans


AT_FIRST, LATER = "with actual values", "once prepared"
PLANNING_COST = 2.5  # for each relation, as in PostgreSQL's cached_plan_cost()


def _plan(kind: str, statement: str, explain: str, parameters: Any) -> Plan:
    with psycopg.ClientCursor(connection.connection) as cursor:
        row = cursor.execute(explain, parameters).fetchone()
    assert row
    root = row[0][0]["Plan"]
    plan = Plan(kind, statement, root["Total Cost"])
    plan.add(root)
    return plan


def _numbered(statement: str) -> str:
    """Return the statement with $1, $2 … as placeholders."""
    names: list[str | None] = []

    def number(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if match[1] is None or match[1] not in names:
            names.append(match[1])
            return f"${len(names)}"
        return f"${names.index(match[1]) + 1}"

    return PLACEHOLDER.sub(number, statement)
