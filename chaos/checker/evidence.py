"""Collects the evidence: the record of every request, the exchange's own record, and the tables."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import urllib3
from psycopg.rows import dict_row

from chaos.record import Record, read

Json = dict[str, Any]

FINAL = {"FILLED", "REJECTED"}
NO_ANSWER = 0
FINAL_SECONDS_MAX = 240.0


@dataclass
class Evidence:
    """All evidence of a run. Times are epoch seconds, money is Decimal, and rows are as in their tables."""

    accounts: list[Json] = field(default_factory=list)  # customer, cash, cause: how each account was opened
    requests: list[Json] = field(default_factory=list)
    faults: list[Json] = field(default_factory=list)
    trades: list[Json] = field(default_factory=list)
    status_changes: list[Json] = field(default_factory=list)
    reports: list[Json] = field(default_factory=list)
    postings: list[Json] = field(default_factory=list)
    transfers: list[Json] = field(default_factory=list)
    balances: list[Json] = field(default_factory=list)
    positions: list[Json] = field(default_factory=list)
    actions: list[Json] = field(default_factory=list)
    entitlements: list[Json] = field(default_factory=list)
    fee_rates: list[Json] = field(default_factory=list)
    exchange: list[Json] = field(default_factory=list)


TABLES = {
    "trades": """
        SELECT id::text, customer_id AS customer, sequence, ticker, type, quantity, idempotency_key AS key, status,
               price, amount, max_price, reason_code, extract(epoch FROM placed_at)::float8 AS placed_at,
               extract(epoch FROM claimed_at)::float8 AS claimed_at,
               extract(epoch FROM settled_at)::float8 AS settled_at,
               (executed_at AT TIME ZONE 'America/New_York')::date AS traded_on
        FROM trades_trade ORDER BY customer_id, sequence""",
    "status_changes": """
        SELECT id, trade_id::text AS trade, from_status, to_status, by, extract(epoch FROM at)::float8 AS at
        FROM trades_statuschange ORDER BY id""",
    "reports": """
        SELECT id, trade_id::text AS trade, customer_id AS customer, body, source, outcome,
               extract(epoch FROM received_at)::float8 AS received_at
        FROM trades_report ORDER BY id""",
    "postings": """
        SELECT id, customer_id AS customer, ticker, kind, cause::text, change, total, price
        FROM accounts_posting ORDER BY id""",
    "transfers": """
        SELECT id::text, customer_id AS customer, type, amount, idempotency_key AS key
        FROM accounts_transfer""",
    "balances": "SELECT customer_id AS customer, amount, held FROM accounts_balance",
    "actions": """
        SELECT id::text, kind, ticker, numerator, denominator, reference_price, state FROM trades_corporateaction""",
    "entitlements": """
        SELECT id::text, action_id::text AS action, customer_id AS customer, shares, shares_after, cash, event
        FROM trades_entitlement ORDER BY event""",
    "positions": "SELECT customer_id AS customer, ticker, quantity, held FROM accounts_position",
    "fee_rates": """
        SELECT kind, first_day, last_day, per_usd, per_share, maximum FROM trades_feerate ORDER BY id""",
}


STILL_OPEN = """
    SELECT (SELECT count(*) FROM trades_trade WHERE status IN ('PLACED', 'IN PROGRESS'))
           + (SELECT count(*) FROM trades_corporateaction WHERE state IN ('approved', 'applying'))
"""


def read_tables(database_url: str) -> dict[str, list[Json]]:
    """Return the rows of all tables in TABLES, read in one snapshot."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return {name: connection.execute(statement).fetchall() for name, statement in TABLES.items()}


def read_exchange(url: str) -> list[Json]:
    """Return the exchange's own record, in order of arrival."""
    entries: list[Json] = []
    after = 0
    while after is not None:
        page = urllib3.request("GET", f"{url}/v1/trades?after={after}&limit=1000", retries=False, timeout=30.0).json()
        entries += page["results"]
        after = page["next"]
    return entries


def gather(accounts: list[Json], log: Record, database_url: str, exchange_url: str) -> Evidence:
    """Collect all evidence about these accounts."""
    return Evidence(
        accounts=accounts,
        requests=read(log.requests),
        faults=read(log.faults),
        exchange=read_exchange(exchange_url),
        **read_tables(database_url),
    )


def wait_until_final(database_url: str, seconds_max: float = FINAL_SECONDS_MAX) -> float:
    """Wait until no trade is open and all corporate actions are done, but at most `seconds_max`.

    Returns:
        The monotonic time at the end.
    """
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        with suppress(psycopg.Error), psycopg.connect(database_url, connect_timeout=3) as connection:
            if connection.execute(STILL_OPEN).fetchone() == (0,):
                break
        time.sleep(0.2)
    return time.monotonic()


def epoch(text: str) -> float:
    """Return an RFC 3339 time as epoch seconds."""
    return datetime.fromisoformat(text).timestamp()
