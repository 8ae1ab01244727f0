"""`manage.py status [--json]`: show how trading is going."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from redis.exceptions import RedisError

from exchange import clock_skew, gateway
from exchange.messages import Unknown
from trades import backlog, queries
from trades.controls import Kind, Rules, controls_in_force
from trades.models import NEEDS_REVIEW, Report

EXAMPLE = "Example: manage.py status --json"
HALTS = {Kind.HALT_ALL, Kind.HALT_CUSTOMER, Kind.HALT_TICKER}
OPEN = """
    SELECT CASE WHEN queued_at IS NULL OR status <> 'PLACED' THEN status ELSE 'QUEUED' END, count(*),
           extract(epoch FROM statement_timestamp() - min(placed_at))::int
    FROM trades_trade WHERE status IN ('PLACED', 'IN PROGRESS') GROUP BY 1
"""


class Command(BaseCommand):
    help = f"Show how trading is going: open trades, due turns, halts, the broker and the exchange. {EXAMPLE}"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        status = status_now()
        if options["json"]:
            self.stdout.write(json.dumps(status, default=str))
            return
        for name, value in status.items():
            self.stdout.write(f"{name:<24}{', '.join(map(str, value)) if isinstance(value, list) else value}")


def status_now() -> dict[str, Any]:
    """Return the figures by name. Ages and lags are in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN)
        open_trades = {status: (count, age) for status, count, age in cursor.fetchall()}
    placed, in_progress = open_trades.get("PLACED", (0, 0)), open_trades.get("IN PROGRESS", (0, 0))
    controls = controls_in_force()
    due = queries.due_customers(Rules.of(controls))
    return {
        "placed": placed[0],
        "oldestPlaced": placed[1],
        "queued": open_trades.get("QUEUED", (0, 0))[0],
        "inProgress": in_progress[0],
        "oldestInProgress": in_progress[1],
        "dueTurns": len(due),
        "laneLag": round(due[0].seconds, 1) if due else 0,
        "reportsInReview": Report.objects.filter(outcome__in=NEEDS_REVIEW).count(),
        "halts": [str(control) for control in controls if control.kind in HALTS],
        "broker": _broker(),
        "exchange": _exchange(),
        "exchangeClockSkew": clock_skew.latest(),
    }


def _broker() -> str:
    try:
        depths = backlog.depths()
    except RedisError as error:
        return f"unreachable: {error}"
    return f"{sum(messages for messages, _ in depths)} messages, {sum(rung for _, rung in depths)} customers have rung"


def _exchange() -> str:
    try:
        clock = gateway.clock()
    except Unknown as unknown:
        return f"unreachable: {unknown}"
    return "open" if clock["isOpen"] else "closed"
