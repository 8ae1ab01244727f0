"""Finds the changes to the books since an earlier proof, and the rows that they can have affected.

PostgreSQL keeps with each row the number of the transaction that wrote it (`xmin`). A proof leaves a mark: the oldest
transaction that had not ended when it looked. The proof saw everything that earlier transactions wrote. So a row has
changed since then if its number is the mark's or a later one, however late its transaction commits, and whether or not
triggers were on. The next proof reads each table once, without joins or sorting, to find these rows.

A deleted row leaves nothing. So the mark also says how many rows each table had, and how many of them were final: such
rows never change again. And amounts that must agree, such as shares in positions and shares in lots, are added up over
all rows. If a final row has changed or is missing, or such amounts disagree, everything is proved.

This is what a proof of the changes does not see, and a full proof does:

* the deletion of a row that could still change (a waiting report, for instance) if the table has since got another one;
* an execution of the exchange that filled two trades, if the other trade is older than all those that have changed;
* what was changed in the database's files past PostgreSQL, without a new number of a transaction. Its checksums are for
  that.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import connection

from accounts.audit.rule import Rule, Scope
from accounts.queries import first_id_at
from web.timezones import EASTERN

TRANSACTIONS_MAX = 2**28  # since a mark; rows keep only 32 bits of the number of a transaction
CLOCKS_APART = timedelta(minutes=10)  # how far the order of postings' ids and that of their times may differ
LAST_POSTING = 2**63 - 1
LAST_UUID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that rules read, and the SQL expressions that say what a row is about.

    Attributes:
        customer: The customer; None: rows are not of one customer.
        final: Whether the row will never change again.
        cause: The column with the id of the trade or transfer that it is about. Ids grow with time.
        has_cause: Whether `cause` is a trade or a transfer, and not something else.
        number: The column that numbers the rows in the order in which they were made.
        line: A query that reads what `Scope.LINE` says, where `{changed}` is the condition of `Scope.CAUSE`.
        moment: A time on the Eastern day that it counts for.
        amounts: By name, what the row adds to amounts that must be 0 over all tables.
        concerns: A condition on customers' rows of other tables, as (table, condition), that such a change affects too.
        is_state: Whether a row is what a customer has now, and not something that happened.
        affects_all: Whether a change affects the rows of every customer.
    """

    name: str
    customer: str | None = "customer_id"
    final: str = "true"
    cause: str | None = None
    has_cause: str = "true"
    number: str | None = None
    line: str = ""
    moment: str | None = None
    amounts: Mapping[str, str] = field(default_factory=dict)
    concerns: Sequence[tuple[str, str]] = ()
    is_state: bool = False
    affects_all: bool = False


BOOKS_TABLES = (
    Table(name="accounts_balance", final="false", is_state=True),
    Table(name="accounts_position", final="false", is_state=True, amounts={"shares": "quantity"}),
    Table(
        name="accounts_posting",
        final="settles_on IS NOT NULL",
        cause="cause",
        has_cause="""NOT EXISTS (SELECT FROM accounts_adjustment AS other WHERE other.id = cause)
                     AND NOT EXISTS (SELECT FROM trades_entitlement AS other WHERE other.id = cause)""",
        number="id",
        moment="created_at",
        amounts={"shares": "CASE WHEN settles_on IS NULL AND ticker <> '' THEN -change ELSE 0 END"},
    ),
    Table(name="accounts_transfer", cause="id"),
    Table(name="accounts_adjustment", final="approved IS NOT NULL", moment="decided_at"),
    Table(name="accounts_lot", final="remaining = 0", amounts={"shares": "-remaining"}),
    Table(name="accounts_lotclosing"),
    Table(name="accounts_goodfaithviolation", final="false"),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark that a proof leaves, from which the next one finds the changes.

    Attributes:
        transaction: The oldest transaction that had not ended.
        cluster: The database system's identifier. In another one, numbers of transactions mean something else.
        rules: A digest of the rules that were proved.
        rows: How many rows each table had.
        final: How many of them were final, and written by transactions before `transaction`.
    """

    transaction: int
    cluster: str
    rules: str
    rows: dict[str, int]
    final: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Changes:
    """The changes since a mark, and the new mark that a proof of them leaves.

    Attributes:
        mark: The new mark.
        everything: Why all rows must be examined, in a few words; empty: only those that changes can have affected.
        customers: The customers with changed rows.
        cause: The oldest trade or transfer with changed rows.
        posting: The id of the first changed posting; None: no posting has changed.
        age: How many transactions ago the earlier mark is.
        since: The first time for which day totals may have changed; None: for no day.
    """

    mark: Mark
    everything: str = ""
    customers: set[int] = field(default_factory=set)
    cause: str = LAST_UUID
    posting: int | None = None
    age: int = 0
    since: datetime | None = None


def find_changes(
    tables: Iterable[Table], rules: Iterable[Rule], mark: Mark | None, oldest: int | None = None
) -> Changes:
    """Find what changed since a mark, by reading each table once.

    Args:
        mark: What an earlier proof saw; None: everything is to be examined.
        oldest: The oldest transaction that has not ended, if it is known; the database is asked otherwise.
    """
    with connection.cursor() as cursor:
        cursor.execute(NOW)
        not_ended, cluster = cursor.fetchone()
    now = Mark(oldest or not_ended, cluster, digest_of(rules), {}, {})
    changes = Changes(now, _unusable(mark, now))
    if mark and not changes.everything:
        changes.age = _age(mark)
    kept, amounts = Counter[str](), Counter[str]()
    for table in tables:
        rows = _read(table, now, mark if mark and not changes.everything else None)
        now.rows[table.name] = sum(row["rows"] for row in rows)
        now.final[table.name] = sum(row["final"] for row in rows)
        kept[table.name] = sum(row["kept"] for row in rows)
        for name in table.amounts:
            amounts[name] += sum(row[name] for row in rows)
        if mark and not changes.everything:
            _add(changes, table, rows)
    if mark and not changes.everything:
        changes.everything = _suspicion(mark, now, kept, amounts)
    return changes


def digest_of(rules: Iterable[Rule]) -> str:
    """Return a digest of what the rules examine."""
    return sha256("\n".join(rule.violations for rule in rules).encode()).hexdigest()


def narrowed(tables: Iterable[Table], changes: Changes) -> Callable[[Rule], tuple[str, dict[str, Any]]]:
    """Return what narrows a rule's tables to the rows that the changes can have affected, for `examine`.

    The statement begins with queries that have the names of the tables. Within it, these take the tables' place.
    """
    known = tuple(tables)
    day: dict[str, Any] = {"since": changes.since, "first_id": 0}
    if changes.since:
        day["first_id"] = first_id_at("accounts_posting", "created_at", changes.since - CLOCKS_APART)
    customers = {"customers": sorted(changes.customers)}
    rows = customers | {"posting": changes.posting or LAST_POSTING, "changed": changes.age, "most": TRANSACTIONS_MAX}
    parameters: dict[Scope, dict[str, Any]] = {
        Scope.CUSTOMER: customers,
        Scope.CAUSE: {"cause": changes.cause},
        Scope.LINE: {"cause": changes.cause},
        Scope.POSTING: rows,
        Scope.STOCK: rows,
        Scope.LOT: rows,
        Scope.DAY: day,
        Scope.ALL: {},
    }

    def narrow(rule: Rule) -> tuple[str, dict[str, Any]]:
        parts = [f"{name} AS MATERIALIZED ({query})" for name, query in SHARED_PARTS.get(rule.scope, {}).items()]
        for table in known:
            part = _part(table, rule.scope)
            if part and re.search(rf"\b{table.name}\b", rule.violations):
                parts.append(f"{table.name} AS NOT MATERIALIZED ({part})")
        return (f"WITH {', '.join(parts)}", parameters[rule.scope]) if parts else ("", {})

    return narrow


def _part(table: Table, scope: Scope) -> str:
    """Return a query for the rows of a table that a rule of this scope reads; empty: all."""
    if scope is Scope.LINE:
        return table.line.format(changed=_condition(table, Scope.CAUSE))
    if scope is Scope.LOT:
        return LOT_PARTS.get(table.name, "")
    condition = _condition(table, scope)
    return condition and f"SELECT * FROM {table.name} WHERE {condition}"


def _condition(table: Table, scope: Scope) -> str:
    if scope is Scope.POSTING:
        if table.number:
            return f"{table.number} >= %(posting)s::bigint"
        return _condition(table, Scope.CUSTOMER) if table.is_state else ""
    if scope is Scope.CUSTOMER and table.customer:
        return f"{table.customer} IN (SELECT unnest(%(customers)s::bigint[]))"
    if scope is Scope.STOCK and table.name in STOCK_TABLES:
        return "(customer_id, ticker) IN (SELECT customer_id, ticker FROM changed_stock)"
    if scope is Scope.CAUSE and table.cause:
        return f"({table.cause} >= %(cause)s::uuid OR {table.cause} IS NULL)"
    if scope is Scope.DAY and table.name == "accounts_posting":
        return f"id > %(first_id)s AND created_at >= %(since)s::timestamptz AND created_at < ({STORED_UNTIL})"
    if scope is Scope.DAY and table.name == "trades_daytotal":
        return "day >= (%(since)s::timestamptz AT TIME ZONE 'America/New_York')::date"
    return ""


def _unusable(mark: Mark | None, now: Mark) -> str:
    """Return why changes since a mark can't be found; empty if they can."""
    if mark is None:
        return "there is no earlier proof to start from"
    if mark.cluster != now.cluster or mark.transaction > now.transaction:
        return "the last proof was made in another database system"
    if now.transaction - mark.transaction > TRANSACTIONS_MAX:
        return "the last proof is too many transactions ago"
    if mark.rules != now.rules:
        return "the rules have changed since the last proof"
    return ""


def _suspicion(mark: Mark, now: Mark, kept: Mapping[str, int], amounts: Mapping[str, int]) -> str:
    """Return why it seems that rows were changed or deleted that should not have been; empty if it does not."""
    for name, rows in now.rows.items():
        if kept[name] != mark.final.get(name, 0):
            return f"{abs(mark.final.get(name, 0) - kept[name])} final rows of {name} were changed or deleted"
        if rows < mark.rows.get(name, 0):
            return f"{mark.rows[name] - rows} rows of {name} were deleted"
    for name, amount in amounts.items():
        if amount:
            return f"the {name} do not add up: they differ by {abs(amount)}"
    return ""


def _add(changes: Changes, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add a table's changed rows to the changes."""
    changed = [row for row in rows if row["changed"]]
    if changed and table.affects_all:
        changes.everything = f"{table.name} has changed, which affects all customers"
    changes.customers.update(row["customer"] for row in changed if row["customer"] is not None)
    changes.cause = min([changes.cause, *(row["cause"] for row in changed if row["cause"])])
    numbers = [row["number"] for row in changed if row["number"] is not None]
    changes.posting = min([*numbers, *([] if changes.posting is None else [changes.posting])], default=None)
    moments = [row["moment"] for row in changed if row["moment"]]
    if moments:
        first = min(moments).astimezone(EASTERN) - CLOCKS_APART  # as the times of one event may differ
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        changes.since = min(changes.since or midnight, midnight)


def _read(table: Table, now: Mark, mark: Mark | None) -> list[dict[str, Any]]:
    """Read a table: one row for all its unchanged rows, and one for the changed ones of each customer."""
    with connection.cursor() as cursor:
        ages = {"newest": _age(now), "changed": _age(mark) if mark else None, "most": TRANSACTIONS_MAX}
        cursor.execute(_statement(table), ages)
        columns = [column.name for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        if mark and table.concerns and any(row["changed"] for row in rows):
            for other, condition in table.concerns:
                cursor.execute(
                    f"SELECT DISTINCT o.customer_id FROM {other} AS o JOIN {table.name} AS t ON {condition} "
                    f"WHERE {_CHANGED.replace('xmin', 't.xmin')}",
                    ages,
                )
                nothing = dict.fromkeys(columns, 0) | {"cause": None, "number": None, "moment": None, "changed": True}
                rows += [nothing | {"customer": customer} for (customer,) in cursor.fetchall()]
    return rows


def _age(mark: Mark) -> int:
    """Return how many transactions ago a mark is, as `age` counts for rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT age(%s::text::xid)", [str(mark.transaction % 2**32)])
        return int(cursor.fetchone()[0])


def _statement(table: Table) -> str:
    amounts = "".join(f", sum({amount}) AS {name}" for name, amount in table.amounts.items())
    return f"""
        SELECT {_CHANGED} AS changed, CASE WHEN {_CHANGED} THEN {table.customer or "NULL::bigint"} END AS customer,
               count(*) AS rows,
               count(*) FILTER (WHERE ({table.final}) AND NOT {_CHANGED}) AS kept,
               count(*) FILTER (WHERE ({table.final}) AND NOT {_CHANGED.replace("changed", "newest")}) AS final,
               min({table.cause or "NULL"}::text COLLATE "C") FILTER (WHERE {_CHANGED} AND {table.has_cause}) AS cause,
               min({table.number or "NULL::bigint"}) FILTER (WHERE {_CHANGED}) AS number,
               min(({table.moment or "NULL"})::timestamptz) FILTER (WHERE {_CHANGED}) AS moment{amounts}
        FROM {table.name} GROUP BY 1, 2
    """


# Without a mark there is no age to compare with, and no row has changed.
_CHANGED = "coalesce(age(xmin) BETWEEN %(changed)s::bigint - %(most)s::bigint AND %(changed)s::bigint, false)"
_CHANGED_OF_CUSTOMERS = f"customer_id IN (SELECT unnest(%(customers)s::bigint[])) AND {_CHANGED}"
# Queries that the parts of several tables read, by scope. Each is run once.
SHARED_PARTS = {
    Scope.STOCK: {
        "changed_stock": f"""
            SELECT customer_id, ticker FROM public.accounts_position WHERE {_CHANGED_OF_CUSTOMERS}
            UNION SELECT customer_id, ticker FROM public.accounts_lot WHERE {_CHANGED_OF_CUSTOMERS}
            UNION SELECT customer_id, ticker FROM public.accounts_posting WHERE id >= %(posting)s::bigint
        """,
    },
    Scope.LOT: {
        "changed_lot": f"SELECT id, cause FROM public.accounts_lot WHERE {_CHANGED_OF_CUSTOMERS}",
    },
}
STOCK_TABLES = ("accounts_position", "accounts_posting", "accounts_lot")
LOT_PARTS = {
    "accounts_lot": f"""
        SELECT * FROM accounts_lot WHERE id IN (
            SELECT id FROM changed_lot
            UNION SELECT lot_id FROM public.accounts_lotclosing WHERE {_CHANGED_OF_CUSTOMERS})
    """,
    "accounts_posting": """
        SELECT * FROM accounts_posting WHERE id >= %(posting)s::bigint
        UNION ALL SELECT * FROM accounts_posting WHERE id < %(posting)s::bigint AND cause IN (
            SELECT cause FROM changed_lot)
    """,
}
# The stored totals of days are compared with the postings of these days only.
STORED_UNTIL = "SELECT (max(day) + 1)::timestamp AT TIME ZONE 'America/New_York' FROM trades_daytotal"
NOW = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, system_identifier::text FROM pg_control_system()
"""
