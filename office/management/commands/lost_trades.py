"""`manage.py lost_trades LOG…`, after a restore to a point in time"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Transfer
from exchange import gateway
from exchange.messages import Malformed, Report, Unknown
from trades.cancel import NotCancellable, cancel_trade
from trades.models import FINAL, Trade

PAGE = 1000


class Command(BaseCommand):
    help = (
        "List what a restored database lacks: trades that are in the exchange's record or in the logs but not in the "
        "database, trades that the exchange has ended, trades that customers saw end and that are open again, and "
        "transfers that are in the logs only. Exit 1 if there are any of these, except trades that the exchange ended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("logs", nargs="*", type=Path, help="JSON logs of all processes (LOG_FORMAT=json).")
        parser.add_argument(
            "--cancel",
            action="store_true",
            help="Cancel trades that are open again. Without this, nothing is changed.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        logged = _read(options["logs"])
        customers = logged.placed
        try:
            at_exchange = {report.trade_id: report for report in _record()}
        except Unknown as unknown:
            raise CommandError(f"The exchange does not answer: {unknown}") from None
        statuses = dict(Trade.objects.values_list("id", "status"))
        lost = sorted(trade_id for trade_id in at_exchange.keys() | customers.keys() if trade_id not in statuses)
        behind = {
            trade_id
            for trade_id, report in at_exchange.items()
            if report.status in FINAL and statuses.get(trade_id, report.status) != report.status
        }
        # They were rejected or cancelled without the exchange, and a lane would claim them again.
        told_ended = logged.ended.keys() & statuses.keys()
        reopened = {trade_id for trade_id in told_ended if statuses[trade_id] not in FINAL} - behind
        known = set(Transfer.objects.values_list("id", flat=True))
        transfers = [event for transfer_id, event in logged.transfers.items() if transfer_id not in known]
        for trade_id in lost:
            self.stdout.write(json.dumps(_line("lost", trade_id, at_exchange.get(trade_id), customers.get(trade_id))))
        owners = dict(Trade.objects.filter(id__in=behind | reopened).values_list("id", "customer_id"))
        for trade_id in sorted(behind):
            self.stdout.write(json.dumps(_line("behind", trade_id, at_exchange[trade_id], owners[trade_id])))
        for trade_id in sorted(reopened):
            line = _line("reopened", trade_id, at_exchange.get(trade_id), owners[trade_id])
            is_cancelled = options["cancel"] and _cancel(owners[trade_id], trade_id)
            self.stdout.write(json.dumps(line | {"told": logged.ended[trade_id], "cancelled": is_cancelled}))
        for event in transfers:
            line = {name: event[name] for name in ("customer", "type", "amount")}
            self.stdout.write(json.dumps({"what": "lost transfer", "transferId": event["transfer"]} | line))
        counts = {"lost": lost, "behind": behind, "reopened": reopened, "lostTransfers": transfers, "trades": statuses}
        self.stdout.write(json.dumps({name: len(found) for name, found in counts.items()}))
        if lost or reopened or transfers:
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


def _cancel(customer_id: int, trade_id: UUID) -> bool:
    """Cancel a trade; return whether that was still possible."""
    try:
        cancel_trade(customer_id, trade_id, "lost_trades")
    except NotCancellable:
        return False
    return True


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


@dataclass
class Logged:
    """The trades and transfers that the logs say customers were told about."""

    placed: dict[UUID, int] = field(default_factory=dict)  # trade -> its customer
    ended: dict[UUID, str] = field(default_factory=dict)  # trade -> FILLED or REJECTED
    transfers: dict[UUID, dict[str, Any]] = field(default_factory=dict)


def _read(logs: Iterable[Path]) -> Logged:
    logged = Logged()
    for log in logs:
        with log.open(errors="replace") as lines:
            for line in lines:
                try:
                    event = json.loads(line[line.index("{") :])
                except ValueError:
                    continue
                match event.get("event"):
                    case "placed":
                        logged.placed |= {UUID(trade_id): event["customer"] for trade_id in event["trades"]}
                    case "filled" | "rejected" as ending:
                        logged.ended |= {UUID(trade_id): ending.upper() for trade_id in event["trades"]}
                    case "transferred":
                        logged.transfers[UUID(event["transfer"])] = event
    return logged
