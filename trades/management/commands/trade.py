"""`manage.py trade TRADE_ID [--json]`: show all that is known about a trade."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from exchange.models import Call
from trades.explanation import explain
from trades.lane import lane_of
from trades.models import Report, StatusChange, Trade

ROWS_MAX = 200
EXAMPLE = "Example: manage.py trade 0198c5a1-7c1e-7d31-9f0e-3f6c2b1a9d44 --json"


class Command(BaseCommand):
    help = f"Show all about one trade: status, history, reports, calls, and why it has its status. {EXAMPLE}"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trade_id", type=UUID)
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        trade = Trade.objects.filter(id=options["trade_id"]).first()
        if trade is None:
            raise CommandError(f"There is no trade {options['trade_id']}.")
        life = life_of(trade)
        self.stdout.write(json.dumps(life, default=str) if options["json"] else as_lines(life))


def life_of(trade: Trade) -> dict[str, Any]:
    """Return everything that is known about a trade, with the API's names where it has one."""
    reports = list(Report.objects.filter(trade_id=trade.id).order_by("id")[:ROWS_MAX])
    changes = StatusChange.objects.filter(trade=trade).order_by("id")
    # Sorted in Python: with an ORDER BY, PostgreSQL might walk all calls by time instead of using the trade ids' index.
    calls = sorted(Call.objects.filter(trade_ids__contains=[trade.id])[:ROWS_MAX], key=lambda call: call.pk)
    return {
        "tradeId": trade.id,
        "customerId": trade.customer_id,
        "sequence": trade.sequence,
        "lane": lane_of(trade.customer_id),
        "stockTicker": trade.ticker,
        "type": trade.type,
        "quantity": trade.quantity,
        "createdAt": trade.placed_at,
        "status": trade.status,
        "why": explain(trade, reports),
        "reason": trade.reason or None,
        "reasonCode": trade.reason_code or None,
        "whenClosed": trade.when_closed,
        "queuedAt": trade.queued_at,
        "maxPrice": trade.max_price,
        "collarPrice": trade.collar_price,
        "expiresAt": trade.expires_at,
        "price": trade.price,
        "amount": trade.amount,
        "settledAt": trade.settled_at,
        "history": [
            {"from": row.from_status or None, "to": row.to_status, "at": row.at, "by": row.by, "reason": row.reason}
            for row in changes
        ],
        "reports": [
            {
                "reportId": report.pk,
                "receivedAt": report.received_at,
                "source": report.source,
                "outcome": report.outcome,
                "reason": report.reason,
                "body": report.body,
            }
            for report in reports
        ],
        "calls": [_call(call, trade) for call in calls],
    }


def _call(call: Call, trade: Trade) -> dict[str, Any]:
    return {
        "at": call.at,
        "call": call.get_verb_display(),
        "outcome": call.outcome,
        "answer": call.seen or call.answers.get(str(trade.id), "accepted"),
        "tookMs": round(call.took_ms, 1),
    }


def as_lines(life: dict[str, Any]) -> str:
    """Return what is known about a trade as text."""
    lines = [
        f"{life['type']} {life['quantity']} {life['stockTicker']}: {life['status']}",
        life["why"],
        "",
        f"customer {life['customerId']}, number {life['sequence']} in line, lane {life['lane']}",
    ]
    for title, rows in (("History", life["history"]), ("Reports", life["reports"]), ("Calls", life["calls"])):
        lines += ["", f"{title}:" if rows else f"{title}: none"]
        lines += ["  " + "  ".join(str(value) for value in row.values() if value not in (None, "")) for row in rows]
    return "\n".join(lines)
