"""`manage.py trial_balance`: the firm's own accounts on a day."""

import json
import sys
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from trades.trial_balance import TrialBalance, trial_balance
from web.timezones import eastern_today


class Command(BaseCommand):
    """Reads only."""

    help = (
        "Print the firm's accounts at the end of a day, and the customer reserve: exit 0 if they make zero, 1 if not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="A New York day, as 2026-01-31; today if missing.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        found = trial_balance(options["day"] or eastern_today())
        self.stdout.write(_as_json(found) if options["json"] else _as_lines(found))
        if not found.is_zero:
            sys.exit(1)


def _as_json(found: TrialBalance) -> str:
    lines = [
        {"account": line.account, "part": line.part, "title": line.title, "debit": line.debit, "credit": line.credit}
        for line in found.lines
    ]
    totals = {"debits": found.debits, "credits": found.credits, "reserve": found.reserve, "bank": found.bank}
    return json.dumps({"day": found.day, "isZero": found.is_zero, "lines": lines} | totals, default=str)


def _as_lines(found: TrialBalance) -> str:
    rows = [(line.title, line.debit, line.credit) for line in found.lines]
    rows += [("Total", found.debits, found.credits)]
    width = max(len(title) for title, _, _ in rows)
    lines = [f"{'':{width}}  {'debit':>22}  {'credit':>22}"]
    for title, *amounts in rows:
        figures = "  ".join(f"{'' if amount is None else f'{amount:,.4f}':>22}" for amount in amounts)
        lines.append(f"{title:{width}}  {figures}")
    lines.append(f"Customer reserve: {found.reserve:,.4f} USD")
    return "\n".join(lines)
