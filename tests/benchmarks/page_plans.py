"""Finds the pages of a customer that read a big table from its beginning to its end."""

import json
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exchange import market
from tests.history import customer_with_history
from trades import queries

BIG = {
    "accounts_balance", "accounts_customer", "accounts_lot", "accounts_lotclosing", "accounts_position",
    "accounts_posting", "accounts_transfer", "trades_report", "trades_statuschange", "trades_trade",
    "trades_tradecounter", "usersessions_usersession",
}  # fmt: skip
# Indexes of open trades and waiting reports only. They are small, so a page may read all of one.
OPEN_ONLY = {"one_trade_in_flight", "placed_not_queued", "placed_in_line", "reports_waiting"}
# The query for due customers runs at most once a second per process. `tests/benchmarks/test_plans.py` examines its plan
# with large tables.
SHARED = queries.DUE.split("%(")[0]
PAGES = (
    "/", "/?range=ALL&show=deposits", "/trades/open", "/stocks/AAPL", "/stocks/AAPL?range=1Y", "/stocks/XOM",
    "/stocks/AAPL/trade?type=SELL&quantity=1", "/watchlist?q=bank", "/trades", "/trades?before=9",
    "/trades?q=AAPL&status=FILLED&type=SELL", "/trades?since=2026-01-02&until=2026-11-02", "/cash", "/gains",
)  # fmt: skip


def whole_reads() -> list[str]:
    """Open every page of a customer with a history; return each scan of a whole big table. Needs the exchange."""
    market.refresh()
    market.forget()
    client = Client()
    client.force_login(customer_with_history())
    with CaptureQueriesContext(connection) as captured:
        responses = {page: client.get(page).status_code for page in PAGES}
    assert set(responses.values()) == {200}, responses
    executed = {query["sql"] for query in captured if not query["sql"].startswith(SHARED)}
    statements = {sql for sql in executed if sql.lstrip().startswith(("SELECT", "WITH", "("))}
    assert any('"accounts_lotclosing"' in statement for statement in statements)
    with connection.cursor() as cursor:
        # Some of these tables are small here, and would be scanned although there is an index.
        cursor.execute("SET LOCAL enable_seqscan = off")
        return [f"{scan}: {sql}" for sql in statements for scan in _scans(cursor, sql)]


def _scans(cursor: Any, sql: str) -> Iterator[str]:
    cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
    (plans,) = cursor.fetchone()
    plan = (json.loads(plans) if isinstance(plans, str) else plans)[0]["Plan"]
    yield from _unbounded(plan)


def _unbounded(node: dict[str, Any]) -> Iterator[str]:
    """Yield the steps of a plan that read a big table from its beginning to its end."""
    table, kind = node.get("Relation Name"), node["Node Type"]
    is_whole = kind == "Seq Scan" or (kind.startswith("Index") and "Index Cond" not in node)
    if table in BIG and is_whole and node.get("Index Name") not in OPEN_ONLY:
        yield f"{kind} of {table}"
    for child in node.get("Plans", []):
        yield from _unbounded(child)
