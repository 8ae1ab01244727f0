"""The opening bell: trades that were queued while the market was closed are worked off once it opens."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks import load
from benchmarks.load import LoadFailed, latency
from benchmarks.population import TICKERS, loading
from benchmarks.settings import Settings
from benchmarks.site import Site

BEFORE_SECONDS = 600
"""How long before the opening the exchange's clock stands while trades are queued."""
PLACED_A_SECOND = 30.0
"""Trades that other requests place meanwhile."""
WORKED_OFF_SECONDS_MAX = 7200.0
PROGRESS_SECONDS = 20.0  # counting a million queued trades takes a fifth of a second
# Each customer's trades in the order of their numbers, as placing through the API leaves them.
QUEUE = """
    WITH line AS (
        SELECT first + n %% customers AS customer_id, n / customers + 1 AS sequence,
               tickers[n %% array_length(tickers, 1) + 1] AS ticker,
               statement_timestamp() - make_interval(secs => (most - n) * 0.0001) AS at
        FROM (SELECT %(first)s::bigint AS first, %(customers)s::bigint AS customers, %(trades)s::bigint AS most,
                     %(tickers)s::text[] AS tickers) AS given, generate_series(0, most - 1) AS n
    ), counter AS (
        INSERT INTO trades_tradecounter (customer_id, last, placed_at, xact)
        SELECT customer_id, max(sequence), max(at), pg_current_xact_id()::text::bigint FROM line GROUP BY customer_id
    ), trade AS (
        INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, placed_at, status, reason_code,
                                  when_closed, queued_at)
        SELECT uuidv7(), customer_id, sequence, ticker, 'BUY', 1, at, 'PLACED', '', 'queue', at FROM line
        RETURNING id, customer_id, placed_at
    )
    INSERT INTO trades_statuschange (trade_id, customer_id, from_status, to_status, at, reason, by, xact)
    SELECT id, customer_id, '', 'PLACED', placed_at, '', 'api', pg_current_xact_id()::text::bigint FROM trade
"""
LEFT = """
    SELECT (SELECT count(*) FROM trades_trade WHERE status = 'PLACED' AND queued_at IS NOT NULL)
         + (SELECT count(*) FROM trades_trade WHERE status = 'IN PROGRESS' AND queued_at IS NOT NULL)
"""
ENDED = """
    SELECT status, count(*), extract(epoch FROM min(at))::float8, extract(epoch FROM max(at))::float8
    FROM (
        SELECT status, pg_xact_commit_timestamp(xmin) AS at FROM trades_trade WHERE queued_at IS NOT NULL
    ) AS trade GROUP BY status
"""
OUT_OF_ORDER = """
    SELECT count(*) FROM (
        SELECT claimed_at, max(settled_at) OVER (
            PARTITION BY customer_id ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
        FROM trades_trade
    ) AS line WHERE claimed_at < before
"""


def opening(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Queue trades, open the market, and measure until the last of them has ended, with others placing meanwhile.

    Raises LoadFailed if one of them was executed out of its customer's order, or was not filled.
    """
    customers = min(settings.queued_customers, settings.queued)
    with Site(settings.processes, customers, 0, {"EXCHANGE_HOURS": "nyse"}, say, min(1000, customers)) as site:
        opens_at = _next_opening(site)
        _move_clock(site, opens_at - timedelta(seconds=BEFORE_SECONDS))
        first = site.population.first_id
        terms = {"first": first, "customers": customers, "trades": settings.queued, "tickers": list(TICKERS)}
        say(f"bell: {customers:,} customers are loaded")
        with loading(site.database.connection):
            site.database.connection.execute(QUEUE, terms)
        site.database.vacuum_and_checkpoint()
        say(f"bell: {settings.queued:,} trades are queued")
        # The opening comes by itself: a clock that jumps at the bell would make trades expire.
        warm_up_seconds = load.START_SECONDS + settings.warm_up_seconds
        _move_clock(site, opens_at - timedelta(seconds=warm_up_seconds))
        rang_at = time.time() + warm_up_seconds
        with ThreadPoolExecutor(1) as pool:
            worked_off = pool.submit(_wait_until_worked_off, site, settings.queued, rang_at, say)
            period = load.apply(
                site,
                settings.seconds,
                settings.warm_up_seconds,
                settings.connections,
                rate=PLACED_A_SECOND,
                wait_for_finals=False,
            )
            worked_off.result()
        rows = site.database.connection.execute(ENDED).fetchall()
        statuses = {status: count for status, count, *_ in rows}
        began, ended = min(row[2] for row in rows), max(row[3] for row in rows)
        measured = {
            "customers": customers,
            "queued": settings.queued,
            "statuses": statuses,
            "firstEndedAfterSeconds": round(began - rang_at, 2),
            "seconds": round(ended - rang_at, 1),
            "tradesPerSecond": round(settings.queued / (ended - rang_at), 1),
            "placingMeanwhile": latency(period.placing_ms()),
            "audit": site.audit(),
            "outOfOrder": _count(site.database.connection, OUT_OF_ORDER),
        }
    if statuses != {"FILLED": settings.queued} or measured["outOfOrder"]:
        raise LoadFailed(f"the queued trades were not all filled in order: {measured}")
    return measured


def _wait_until_worked_off(site: Site, queued: int, rang_at: float, say: Callable[[str], None]) -> None:
    """Wait until no queued trade is open, and print the progress. Raises LoadFailed if that takes too long."""
    time.sleep(max(0.0, rang_at - time.time()) + PROGRESS_SECONDS)
    with site.database.connect() as connection:
        while remaining := _count(connection, LEFT):
            seconds, ended = time.time() - rang_at, queued - remaining
            say(f"bell: {ended:,} of {queued:,} have ended, {ended / seconds:.0f} a second")
            if seconds > WORKED_OFF_SECONDS_MAX:
                raise LoadFailed(f"queued trades are still open {WORKED_OFF_SECONDS_MAX:.0f} s after the opening")
            time.sleep(PROGRESS_SECONDS)


def _count(connection: psycopg.Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def _next_opening(site: Site) -> datetime:
    """Return when the exchange's next session opens."""
    today = datetime.now(UTC).date()
    url = f"{site.brokerage.exchange_url}/v1/calendar?start={today}&end={today + timedelta(days=14)}"
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (our own address)
        sessions = json.load(answer)["results"]
    moments = (datetime.fromisoformat(session["opensAt"]) for session in sessions if not session["halfDay"])
    return next(moment for moment in moments if moment - timedelta(seconds=BEFORE_SECONDS) > datetime.now(UTC))


def _move_clock(site: Site, moment: datetime) -> None:
    """Set the exchange's clock to a time, from which it goes on."""
    body = json.dumps({"offsetSeconds": (moment - datetime.now(UTC)).total_seconds()}).encode()
    request = urllib.request.Request(  # noqa: S310 (our own address)
        f"{site.brokerage.exchange_url}/v1/clock",
        data=body,
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=5):  # noqa: S310
        pass
