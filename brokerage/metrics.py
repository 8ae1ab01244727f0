"""Serve metrics to Prometheus. They are read from the database on request, so every process reports the same.

"In the last minute" means LATELY_SECONDS by the database's clock. docs/reference/metrics-and-alerts.md lists the
metrics, and docs/alerts.yaml has the alerts based on them.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from brokerage import http_metrics
from exchange import clock_skew
from trades import queries
from trades.controls import rules

LATELY_SECONDS = 60


class _Trading(Collector):
    def collect(self) -> Iterator[Metric]:
        with connection.cursor() as cursor:
            yield from _open(cursor)
            yield from _lanes(cursor)
            yield from _exchange_clock()
            yield from _recent_counts(cursor)
            yield from _back_office(cursor)


def _open(cursor: CursorWrapper) -> Iterator[Metric]:
    trades = GaugeMetricFamily("brokerage_open_trades", "Trades that are not final.", labels=["status"])
    ages = GaugeMetricFamily("brokerage_open_trade_age_seconds_max", "Age of the oldest open trade.", labels=["status"])
    cursor.execute(OPEN)
    rows = {status: (count, age) for status, count, age in cursor.fetchall()}
    for status in ("PLACED", "IN PROGRESS"):
        count, age = rows.get(status, (0, 0))
        trades.add_metric([status], count)
        ages.add_metric([status], float(age))
    yield trades
    yield ages


def _lanes(cursor: CursorWrapper) -> Iterator[Metric]:
    yield _gauge(
        cursor, "brokerage_waiting_reports", "Reports from the exchange that no turn has handled yet.", WAITING_REPORTS
    )
    due = queries.due_customers(rules())
    yield GaugeMetricFamily("brokerage_due_turns", "Customers for whom a turn is due.", value=len(due))
    yield GaugeMetricFamily(
        "brokerage_lane_lag_seconds",
        "Age in seconds of the oldest due turn: for a trade next in line that is not halted, or for a report.",
        value=due[0].seconds if due else 0.0,
    )
    overdue = "Seconds that the oldest job of the sweep is overdue. It grows when no sweep runs."
    yield _gauge(cursor, "brokerage_sweep_overdue_seconds", overdue, SWEEP_OVERDUE)


def _exchange_clock() -> Iterator[Metric]:
    skew = GaugeMetricFamily(
        "brokerage_exchange_clock_skew_seconds",
        "Seconds that the exchange's clock is ahead of the database's.",
    )
    if (seconds := clock_skew.latest()) is not None:
        skew.add_metric([], seconds)
    yield skew


def _recent_counts(cursor: CursorWrapper) -> Iterator[Metric]:
    placed = GaugeMetricFamily(
        "brokerage_trades_lately",
        "Trades placed in the last minute, by their current status and reason.",
        labels=["status", "reason"],
    )
    cursor.execute("SELECT extract(epoch FROM now())")
    (now,) = cursor.fetchone()
    # Trade ids are UUIDv7, which begin with their time in milliseconds.
    cursor.execute(PLACED_LATELY, [UUID(int=int((now - LATELY_SECONDS) * 1000) << 80)])
    for status, reason, count in cursor.fetchall():
        placed.add_metric([status, reason], count)
    yield placed
    calls = GaugeMetricFamily(
        "brokerage_exchange_calls_lately", "Calls to the exchange in the last minute.", labels=["verb", "outcome"]
    )
    cursor.execute(CALLED_LATELY, [LATELY_SECONDS])
    for verb, outcome, count in cursor.fetchall():
        calls.add_metric([verb, outcome], count)
    yield calls


def _back_office(cursor: CursorWrapper) -> Iterator[Metric]:
    cases = GaugeMetricFamily("brokerage_open_exceptions", "Exceptions that need manual review.", labels=["kind"])
    cursor.execute("SELECT kind, count(*) FROM office_case WHERE closed_at IS NULL GROUP BY kind")
    for kind, count in cursor.fetchall():
        cases.add_metric([kind], count)
    yield cases
    ok = GaugeMetricFamily("brokerage_books_ok", "1 if the last proof of the books found nothing wrong, else 0.")
    age = GaugeMetricFamily("brokerage_books_proof_age_seconds", "Seconds since the books were last proven.")
    cursor.execute("SELECT ok::int, extract(epoch FROM now() - at) FROM office_proof ORDER BY id DESC LIMIT 1")
    for was_ok, seconds in cursor.fetchall():  # none before the first proof
        ok.add_metric([], was_ok)
        age.add_metric([], float(seconds))
    yield ok
    yield age


def _gauge(cursor: CursorWrapper, name: str, text: str, statement: str, parameters: list[Any] | None = None) -> Metric:
    cursor.execute(statement, parameters)
    return GaugeMetricFamily(name, text, value=float(cursor.fetchone()[0]))


# Each reads an index of open or of new rows, so its cost does not grow with the number of final trades.
OPEN = """
    SELECT CASE WHEN queued_at IS NULL OR status <> 'PLACED' THEN status ELSE 'QUEUED' END, count(*),
           coalesce(extract(epoch FROM now() - min(placed_at)), 0)
    FROM trades_trade WHERE status IN ('PLACED', 'IN PROGRESS') GROUP BY 1
"""
WAITING_REPORTS = "SELECT count(*) FROM trades_report WHERE outcome = 'waiting'"
SWEEP_OVERDUE = """
    SELECT greatest(0, extract(epoch FROM now() - least(
        (SELECT min(ask_at) FROM trades_trade WHERE status = 'IN PROGRESS'), (SELECT min(due_at) FROM office_job))))
"""
PLACED_LATELY = "SELECT status, reason_code, count(*) FROM trades_trade WHERE id >= %s GROUP BY status, reason_code"
CALLED_LATELY = """
    SELECT verb, outcome, count(*) FROM exchange_call WHERE at > now() - make_interval(secs => %s)
    GROUP BY verb, outcome
"""

registry = CollectorRegistry()
registry.register(_Trading())


def metrics(request: HttpRequest) -> HttpResponse:
    """Serve metrics in Prometheus' text format."""
    return HttpResponse(generate_latest(registry) + http_metrics.render(), content_type=CONTENT_TYPE_LATEST)
