"""Creates customers with cash, shares, tokens and past trades in bulk by SQL, with correct books.

Every value is computed from the customer's number and the trade's number, so that no statement has to read what another
one wrote.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from exchange.regular_days import settlement_date

TICKERS = ("AAPL", "JPM", "KO", "MSFT")
"""The stocks that customers hold and trade; the stand-in exchange lists them."""
DEPOSIT = 1_000_000_000
SHARES_A_TRADE = 100_000
PRICE = 10
TRADES_A_STATEMENT = 250_000
TOKEN_PREFIX = "bench_token_"  # noqa: S105 (not a secret: these customers exist only during the benchmark)


@dataclass(frozen=True)
class Population:
    """Customers with consecutive ids, and the same number of finished trades each."""

    first_id: int
    customers: int
    trades_each: int

    def tokens(self, count: int | None = None) -> list[str]:
        """Return the tokens of `count` customers, spread evenly among all, or of all customers."""
        count = min(count or self.customers, self.customers)
        step = self.customers / count
        return [f"{TOKEN_PREFIX}{self.first_id + int(number * step)}" for number in range(count)]


def _numbers(population: Population, customers: int, trades_each: int, now: datetime) -> dict[str, Any]:
    """Return the parameters of the loading statements."""
    first_day = (now - timedelta(seconds=customers * trades_each)).date() - timedelta(days=1)
    return {
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
        "now": now,
        "trades": customers * trades_each,
        "first_day": first_day,
        "settlement_dates": _settlement_dates(first_day, now.date()),
    }


def _settlement_dates(first: date, last: date) -> list[date]:
    """Return the settlement date of each day from `first` to `last`, also of those on which the market is closed."""
    return [settlement_date(first + timedelta(days=number)) for number in range((last - first).days + 1)]


def populate(
    connection: psycopg.Connection,
    customers: int,
    trades_each: int,
    say: Callable[[str], None] = lambda _: None,
    connect: Callable[[], psycopg.Connection] | None = None,
    watch: Callable[[], None] = lambda: None,
    now: datetime | None = None,
) -> Population:
    """Create customers who deposited cash and bought shares `trades_each` times, most recently just now.

    Constraints between tables aren't checked while loading; the statements satisfy them.

    Args:
        connection: a superuser's connection with autocommit.
        connect: opens another such connection. If given, loading is optimized for millions of trades: indexes are
            dropped and rebuilt afterwards, and LOADERS connections load in parallel.
        watch: is called after each statement; an exception that it raises stops the loading.
        now: when the last trade was placed, about; the current time if not given.
    """
    row = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM accounts_customer").fetchone()
    population = Population(int(row[0]) if row else 1, customers, trades_each)
    trades = customers * trades_each
    numbers = _numbers(population, customers, trades_each, (now or datetime.now(UTC)).replace(microsecond=0))
    with ExitStack() as stack:
        loaders = [connection]
        if connect:
            stack.enter_context(_without_indexes(connection, connect, say, watch))
            loaders = [stack.enter_context(connect()) for _ in range(LOADERS)]
        for loader in loaders:
            stack.enter_context(loading(loader))
        for statement in CUSTOMERS:
            loaders[0].execute(statement, numbers)
            watch()
        numbers |= _last_ids(loaders[0])
        starts = iter(range(0, trades, TRADES_A_STATEMENT))

        def load(loader: psycopg.Connection) -> None:
            for start in starts:
                end = min(start + TRADES_A_STATEMENT, trades)
                for statement in HISTORY:
                    loader.execute(statement, {**numbers, "from": start, "to": end})
                    watch()
                say(f"loaded finished trades up to {end:,} of {trades:,}")

        _run_parallel(load, loaders)
        _continue_ids(loaders[0], numbers, trades)
    for statement in ALREADY_MAILED:
        connection.execute(statement)
    return population


NUMBERED = {"accounts_posting": 2, "trades_statuschange": 3, "trades_report": 1}
"""Tables whose ids must follow the order of trades, and their number of rows per trade."""


def _last_ids(connection: psycopg.Connection) -> dict[str, Any]:
    """Return the last id in each numbered table, and the transaction id to record for past trades."""
    row = connection.execute(f"SELECT pg_current_xact_id()::text::bigint, {LAST}").fetchone()
    assert row is not None  # noqa: S101 (a SELECT without FROM has a row)
    return dict(zip(("xact", *(f"last_{table.rpartition('_')[2]}" for table in NUMBERED)), row, strict=True))


def _continue_ids(connection: psycopg.Connection, numbers: dict[str, Any], trades: int) -> None:
    """Make the ids in each numbered table continue after those of the loaded trades."""
    for table, rows in NUMBERED.items() if trades else ():
        last = numbers[f"last_{table.rpartition('_')[2]}"] + rows * trades
        connection.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, last])


LAST = ", ".join(f"(SELECT coalesce(max(id), 0) FROM {table})" for table in NUMBERED)


LOADERS = 2
INDEXES = """
    SELECT tables.relname, indexes.relname, c.conname, pg_get_indexdef(i.indexrelid), pg_get_constraintdef(c.oid)
    FROM pg_index AS i
    JOIN pg_class AS indexes ON indexes.oid = i.indexrelid
    JOIN pg_class AS tables ON tables.oid = i.indrelid
    LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x')
    WHERE tables.relname = ANY (%s) AND tables.relnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_constraint AS f WHERE f.contype = 'f' AND f.conindid = i.indexrelid)
    ORDER BY tables.reltuples DESC, i.indexrelid
"""
"""All indexes except those that foreign keys depend on. Those are primary keys, filled in order, which is cheap."""
LOADED = (
    *("accounts_customer", "accounts_token", "accounts_balance", "accounts_transfer", "accounts_position"),
    *("accounts_lot", "accounts_posting", "trades_tradecounter", "trades_trade"),
    *("trades_statuschange", "trades_report"),
)


@contextmanager
def _without_indexes(
    connection: psycopg.Connection,
    connect: Callable[[], psycopg.Connection],
    say: Callable[[str], None],
    watch: Callable[[], None],
) -> Iterator[None]:
    """Drop the indexes of the loaded tables, except those that are needed, and rebuild them afterwards."""
    indexes = connection.execute(INDEXES, [list(LOADED)]).fetchall()
    for table, index, constraint, _, _ in indexes:
        connection.execute(
            f'ALTER TABLE "{table}" DROP CONSTRAINT "{constraint}"' if constraint else f'DROP INDEX "{index}"'
        )
    yield
    began = time.monotonic()
    # Two tables at a time, the largest first. The indexes of one table are built one by one, because adding a
    # constraint locks the table.
    tables = iter(sorted({table for table, *_ in indexes}, key=LOADED.index, reverse=True))

    def build(builder: psycopg.Connection) -> None:
        builder.execute("SET maintenance_work_mem = '1GB'")
        for table in tables:
            for indexed_table, _, constraint, definition, as_constraint in indexes:
                if indexed_table == table:
                    builder.execute(
                        f'ALTER TABLE "{table}" ADD CONSTRAINT "{constraint}" {as_constraint}'
                        if constraint
                        else definition
                    )
                    watch()
            say(f"rebuilt the indexes of {table}, {time.monotonic() - began:.0f} s after loading")

    with ExitStack() as stack:
        _run_parallel(build, [stack.enter_context(connect()) for _ in range(LOADERS)])


@contextmanager
def loading(connection: psycopg.Connection) -> Iterator[None]:
    """Disable foreign keys, triggers and synchronous commits inside the block."""
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET synchronous_commit = off")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("RESET session_replication_role")
            connection.execute("RESET synchronous_commit")


def _run_parallel(work: Callable[[psycopg.Connection], None], connections: list[psycopg.Connection]) -> None:
    """Call `work` with all connections in parallel. Raises the first exception, once all have ended."""
    with ThreadPoolExecutor(len(connections)) as pool:
        for future in [pool.submit(work, connection) for connection in connections]:
            future.result()


# -- the customers; `id` runs from %(first)s up to %(end)s

EACH_CUSTOMER = "generate_series(%(first)s::bigint, %(end)s::bigint - 1) AS id"
# A time-ordered id (uuid7), with the customer's id instead of random bits.
TRANSFER_ID = """
    (lpad(to_hex((extract(epoch FROM %(now)s::timestamptz) * 1000)::bigint), 12, '0') || '70008'
     || lpad(to_hex(id), 15, '0'))::uuid
"""
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
    SELECT {TRANSFER_ID}, id, 'deposit', %(deposit)s FROM {EACH_CUSTOMER}
    """,
    f"""
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, settles_on)
    SELECT id, '', 'deposit', {TRANSFER_ID}, %(deposit)s, %(deposit)s,
           (now() AT TIME ZONE 'America/New_York')::date
    FROM {EACH_CUSTOMER}
    """,
    f"""
    INSERT INTO accounts_position (customer_id, ticker, quantity, held, cost)
    SELECT id, (%(tickers)s::text[])[kind + 1], bought, 0, bought * %(price)s
    FROM {EACH_CUSTOMER}, generate_series(0, least(%(kinds)s, %(each)s) - 1) AS kind,
         LATERAL (SELECT (%(each)s - kind + %(kinds)s - 1) / %(kinds)s * %(shares)s AS bought) AS position
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
        SELECT (at AT TIME ZONE 'America/New_York')::date AS traded_on
    ) AS dated CROSS JOIN LATERAL (
        SELECT (%(settlement_dates)s::date[])[traded_on - %(first_day)s::date + 1] AS settles_on
    ) AS settled CROSS JOIN LATERAL (
        -- a time-ordered id (uuid7), with the trade's number instead of random bits
        SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n %% 4096), 3, '0')
                || '8' || lpad(to_hex(%(first)s * 4294967296 + n), 15, '0'))::uuid AS id
    ) AS named
"""
HISTORY = [
    f"""
    INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, placed_at, status, max_price,
                              expires_at, claimed_at, price, amount, reason_code, settled_at,
                              executed_at, settles_on, fees)
    SELECT id, customer_id, sequence, ticker, 'BUY', %(shares)s, at, 'FILLED', cash_before,
           at + interval '30 s', at + interval '10 ms', %(price)s, amount, '',
           at + interval '30 ms', at, settles_on, '{{}}'
    FROM {EACH_TRADE}
    """,
    f"""
    INSERT INTO trades_statuschange (id, trade_id, customer_id, from_status, to_status, at, reason, by, xact)
    SELECT %(last_statuschange)s + 3 * n + place, id, customer_id, was, status, at + after, '', by, %(xact)s
    FROM {EACH_TRADE}, (VALUES (1, '', 'PLACED', interval '0', 'api'),
                               (2, 'PLACED', 'IN PROGRESS', interval '10 ms', 'lanes.1'),
                               (3, 'IN PROGRESS', 'FILLED', interval '30 ms', 'lanes.1'))
                       AS change (place, was, status, after, by)
    """,
    f"""
    INSERT INTO trades_report
        (id, trade_id, customer_id, digest, body, source, received_at, outcome, reason, handled_at)
    SELECT %(last_report)s + n + 1, id, customer_id, sha256(body::bytea), body, 'callback', at + interval '20 ms',
           'settled', '', at + interval '30 ms'
    FROM (
        SELECT *, format('{{"amount":"%%s.0000","executedAt":"%%s","executionId":"%%s","price":"%%s.0000",'
                         '"quantity":%%s,"reason":null,"reasonCode":null,"status":"FILLED","stockTicker":"%%s",'
                         '"tradeId":"%%s","type":"BUY"}}',
                         amount, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                         md5('past-' || n)::uuid, %(price)s::int, %(shares)s::int, ticker, id) AS body
        FROM {EACH_TRADE}
    ) AS reported
    """,
    f"""
    INSERT INTO accounts_posting (id, customer_id, ticker, kind, cause, change, total, price, created_at,
                                  settles_on)
    SELECT %(last_posting)s + 2 * n + place, customer_id, posting.ticker, 'buy', id, change, total, %(price)s,
           at + interval '30 ms', settles_on
    FROM {EACH_TRADE},
         LATERAL (VALUES (1, '', -amount::numeric, (cash_before - amount)::numeric),
                         (2, made.ticker, %(shares)s, shares_after)) AS posting (place, ticker, change, total)
    """,
    f"""
    INSERT INTO accounts_lot (id, customer_id, ticker, cause, acquired_on, quantity, cost, remaining, remaining_cost,
                              paid_with_until)
    SELECT id, customer_id, ticker, id, traded_on, %(shares)s, amount, %(shares)s, amount, traded_on FROM {EACH_TRADE}
    """,
]

# The loaded trades are history. Otherwise the sweep would mail each customer about them while something is measured.
ALREADY_MAILED = [
    """
    UPDATE accounts_noticeplace SET place = newest.id, seen = newest.id
    FROM (SELECT coalesce(max(id), 0) AS id FROM trades_statuschange) AS newest WHERE name = 'trade notices'
    """,
    "DELETE FROM trades_trademail",
    "DELETE FROM accounts_mail",
]
