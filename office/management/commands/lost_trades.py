"""`manage.py lost_trades LOG…`, after a restore to a point in time"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from exchange import gateway
from exchange.messages import Malformed, Report, Unknown
from trades.models import FINAL, Trade

PAGE = 1000


class Command(BaseCommand):
    help = (
        "List what a restored database lacks: trades that are in the exchange's record or in the logs but not in the "
        "database, and trades that the exchange has ended. It changes nothing. Exit 1 if any trade is lost."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("logs", nargs="*", type=Path, help="JSON logs of the web processes (LOG_FORMAT=json).")

    def handle(self, *args: Any, **options: Any) -> None:
        customers = dict(_placed(options["logs"]))
        try:
            at_exchange = {report.trade_id: report for report in _record()}
        except Unknown as unknown:
            raise CommandError(f"The exchange does not answer: {unknown}") from None
        statuses = dict(Trade.objects.values_list("id", "status"))
        lost = sorted(trade_id for trade_id in at_exchange.keys() | customers.keys() if trade_id not in statuses)
        behind = sorted(
            trade_id
            for trade_id, report in at_exchange.items()
            if report.status in FINAL and statuses.get(trade_id, report.status) != report.status
        )
        for trade_id in lost:
            self.stdout.write(json.dumps(_line("lost", trade_id, at_exchange.get(trade_id), customers.get(trade_id))))
        for trade_id in behind:
            customer = Trade.objects.values_list("customer_id", flat=True).get(id=trade_id)
            self.stdout.write(json.dumps(_line("behind", trade_id, at_exchange[trade_id], customer)))
        self.stdout.write(json.dumps({"lost": len(lost), "behind": len(behind), "trades": len(statuses)}))
        if lost:
            sys.exit(1)


def _line(what: str, trade_id: UUID, report: Report | None, customer: int | None) -> dict[str, Any]:
    """Return a line of the output: the trade, its customer, and its report, if the exchange knows it."""
    fill = report.fill if report else None
    return {
        "what": what,
        "tradeId": str(trade_id),
        "customer": customer,
        "exchange": report.status if report else None,
        "stockTicker": report.ticker if report else None,
        "type": report.type if report else None,
        "quantity": report.quantity if report else None,
        "price": str(fill.price) if fill else None,
        "amount": str(fill.amount) if fill else None,
    }


def _record() -> Iterator[Report]:
    """Yield the exchange's own record.

    Raises:
        Unknown: The exchange does not answer.
    """
    after: int | None = 0
    while after is not None:
        rows, after = gateway.history(after, PAGE)
        for row in rows:
            try:
                yield Report.parse(row)
            except Malformed:
                continue


def _placed(logs: Iterable[Path]) -> Iterator[tuple[UUID, int]]:
    """Yield the trades that were placed according to the logs, each with its customer."""
    for log in logs:
        with log.open(errors="replace") as lines:
            for line in lines:
                try:
                    event = json.loads(line[line.index("{") :])
                except ValueError:
                    continue
                if event.get("event") == "placed":
                    for trade_id in event["trades"]:
                        yield UUID(trade_id), event["customer"]
