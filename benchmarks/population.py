"""Customers with cash, shares, tokens and a past, made in bulk by SQL, so that the books hold as if they had traded.

Everything follows from a customer's number and a trade's number, so that no statement reads what another one wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

TICKERS = ("AAPL", "JPM", "KO", "MSFT")
"""What the customers hold, and trade; the stand-in exchange lists them."""
DEPOSIT = 1_000_000_000
SHARES_A_TRADE = 100_000
PRICE = 10
TRADES_A_STATEMENT = 250_000
TOKEN_PREFIX = "bench_token_"  # noqa: S105 (not a secret: these customers live as long as the benchmark)


@dataclass(frozen=True)
class Population:
    """Customers by their ids, which have no gap, each with as many finished trades."""

    first_id: int
    customers: int
    trades_each: int

    def tokens(self, count: int | None = None) -> list[str]:
        """The tokens of so many customers, evenly spread among all; of all where no number is given."""
        count = min(count or self.customers, self.customers)
        step = self.customers / count
        return [f"{TOKEN_PREFIX}{self.first_id + int(number * step)}" for number in range(count)]


def populate(
    connection: psycopg.Connection, customers: int, trades_each: int, says: Callable[[str], None] = lambda _: None
) -> Population:
    """Make customers who have deposited cash and bought shares `trades_each` times, the last one just now.

    `connection` is a superuser's, with autocommit: constraints between tables are not checked while loading, for the
    statements keep them.
    """
    row = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM accounts_customer").fetchone()
    population = Population(int(row[0]) if row else 1, customers, trades_each)
    numbers = {
        "first": population.first_id,
        "end": population.first_id + customers,
        "customers": customers,
        "each": trades_each,
        "deposit": DEPOSIT,
        "shares": SHARES_A_TRADE,
        "price": PRICE,
        "tickers": list(TICKERS),
        "kinds": len(TICKERS),
        "prefix": TOKEN_PREFIX,
        "now": datetime.now(UTC).replace(microsecond=0),
    }
    connection.execute("SET session_replication_role = replica")
    try:
        for statement in CUSTOMERS:
            connection.execute(statement, numbers)
        trades = customers * trades_each
        for start in range(0, trades, TRADES_A_STATEMENT):
            end = min(start + TRADES_A_STATEMENT, trades)
            for statement in HISTORY:
                connection.execute(statement, {**numbers, "from": start, "to": end, "trades": trades})
            says(f"{end:,} of {trades:,} finished trades are in the tables")
    finally:
        connection.execute("SET session_replication_role = DEFAULT")
    return population


# -- the customers; `id` runs from %(first)s up to %(end)s

EACH_CUSTOMER = "generate_series(%(first)s::bigint, %(end)s::bigint - 1) AS id"
CUSTOMERS = [
    f"""
    INSERT INTO accounts_customer (id, password, is_superuser, email, name, is_active, is_staff, theme, time_zone)
    SELECT id, '!', false, 'customer-' || id || '@example.com', 'Customer ' || id, true, false, 'system', ''
    FROM {EACH_CUSTOMER}
    """,
    """
    SELECT setval(pg_get_serial_sequence('accounts_customer', 'id'), %(end)s::bigint - 1)
    """,
    f"""
    INSERT INTO accounts_token (id, customer_id, name, token_hash, key_id, secret_hash, scopes)
    SELECT uuidv7(), id, 'benchmark', encode(sha256((%(prefix)s || id)::bytea), 'hex'),
           'BK' || lpad(id::text, 18, '0'), encode(sha256(('secret' || id)::bytea), 'hex'), '["read", "trade", "funds"]'
    FROM {EACH_CUSTOMER}
    """,
    f"""
    INSERT INTO accounts_balance (customer_id, amount, held)
    SELECT id, %(deposit)s - %(each)s * %(shares)s * %(price)s::bigint, 0 FROM {EACH_CUSTOMER}
    """,
    f"""
    INSERT INTO accounts_transfer (id, customer_id, type, amount)
    SELECT md5('transfer' || id)::uuid, id, 'deposit', %(deposit)s FROM {EACH_CUSTOMER}
    """,
    f"""
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total)
    SELECT id, '', 'deposit', md5('transfer' || id)::uuid, %(deposit)s, %(deposit)s FROM {EACH_CUSTOMER}
    """,
    f"""
    INSERT INTO accounts_position (customer_id, ticker, quantity, held, average_price)
    SELECT id, (%(tickers)s::text[])[kind + 1], (%(each)s - kind + %(kinds)s - 1) / %(kinds)s * %(shares)s, 0, %(price)s
    FROM {EACH_CUSTOMER}, generate_series(0, least(%(kinds)s, %(each)s) - 1) AS kind
    """,
    f"""
    INSERT INTO trades_tradecounter (customer_id, last) SELECT id, %(each)s FROM {EACH_CUSTOMER} WHERE %(each)s > 0
    """,
]

# -- their past; `n` numbers all trades in the order of placing, one a second until now, from %(from)s up to %(to)s

EACH_TRADE = """
    (
        SELECT n, %(first)s + n %% %(customers)s AS customer_id, n / %(customers)s + 1 AS sequence,
               (%(tickers)s::text[])[n / %(customers)s %% %(kinds)s + 1] AS ticker,
               %(deposit)s - n / %(customers)s * %(shares)s * %(price)s AS cash_before,
               (n / %(customers)s / %(kinds)s + 1) * %(shares)s AS shares_after,
               %(shares)s * %(price)s AS amount,
               %(now)s::timestamptz - make_interval(secs => %(trades)s - n + 60) AS at
        FROM generate_series(%(from)s::bigint, %(to)s::bigint - 1) AS n
    ) AS made CROSS JOIN LATERAL (
        -- a time-ordered id (uuid7) with the trade's number where others have dice
        SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n %% 4096), 3, '0')
                || '8' || lpad(to_hex(%(first)s * 4294967296 + n), 15, '0'))::uuid AS id
    ) AS named
"""
HISTORY = [
    f"""
    INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, placed_at, status, max_price,
                              expires_at, claimed_at, ask_at, price, amount, reason_code, settled_at)
    SELECT id, customer_id, sequence, ticker, 'BUY', %(shares)s, at, 'FILLED', cash_before,
           at + interval '30 s', at + interval '10 ms', at + interval '3 s', %(price)s, amount, '',
           at + interval '30 ms'
    FROM {EACH_TRADE}
    """,
    f"""
    INSERT INTO trades_move (trade_id, customer_id, from_status, to_status, at, why, by)
    SELECT id, customer_id, move.was, move.status, at + move.after, '', move.by
    FROM {EACH_TRADE}, (VALUES ('', 'PLACED', interval '0', 'api'),
                               ('PLACED', 'IN PROGRESS', interval '10 ms', 'lanes.1'),
                               ('IN PROGRESS', 'FILLED', interval '30 ms', 'lanes.1')) AS move (was, status, after, by)
    """,
    f"""
    INSERT INTO trades_report (trade_id, customer_id, digest, body, source, received_at, outcome, why, handled_at)
    SELECT id, customer_id, sha256(body::bytea), body, 'callback', at + interval '20 ms', 'settled', '',
           at + interval '30 ms'
    FROM (
        SELECT *, format('{{"amount":"%%s.0000","executedAt":"%%s","executionId":"%%s","price":"%%s.0000",'
                         '"quantity":%%s,"reason":null,"reasonCode":null,"status":"FILLED","stockTicker":"%%s",'
                         '"tradeId":"%%s","type":"BUY"}}',
                         amount, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'past-' || n,
                         %(price)s::int, %(shares)s::int, ticker, id) AS body
        FROM {EACH_TRADE}
    ) AS told
    """,
    f"""
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price, created_at)
    SELECT customer_id, posting.ticker, 'buy', id, posting.change, posting.total, %(price)s, at + interval '30 ms'
    FROM {EACH_TRADE},
         LATERAL (VALUES ('', -amount::numeric, (cash_before - amount)::numeric),
                         (made.ticker, %(shares)s, shares_after)) AS posting (ticker, change, total)
    """,
]
