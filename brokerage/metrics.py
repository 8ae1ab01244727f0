"""What Prometheus scrapes: read from the database when asked, so that every process tells the same."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

OPEN = """
    SELECT status, count(*), coalesce(extract(epoch FROM now() - min(placed_at)), 0)
    FROM trades_trade WHERE status IN ('PLACED', 'IN PROGRESS') GROUP BY status
"""
WAITING_REPORTS = "SELECT count(*) FROM trades_report WHERE outcome = 'waiting'"


class _Trading(Collector):
    def collect(self):
        trades = GaugeMetricFamily("brokerage_open_trades", "Trades that are not final.", labels=["status"])
        ages = GaugeMetricFamily("brokerage_open_trade_age_seconds_max", "Age of the oldest.", labels=["status"])
        with connection.cursor() as cursor:
            cursor.execute(OPEN)
            rows = {status: (count, age) for status, count, age in cursor.fetchall()}
            cursor.execute(WAITING_REPORTS)
            (waiting,) = cursor.fetchone()
        for status in ("PLACED", "IN PROGRESS"):
            count, age = rows.get(status, (0, 0))
            trades.add_metric([status], count)
            ages.add_metric([status], float(age))
        yield trades
        yield ages
        yield GaugeMetricFamily("brokerage_waiting_reports", "Reports that no turn has settled.", value=waiting)


registry = CollectorRegistry()
registry.register(_Trading())


def metrics(request: HttpRequest) -> HttpResponse:
    """Metrics in Prometheus' text format."""
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
