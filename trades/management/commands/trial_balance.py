"""`manage.py trial_balance [--day DAY] [--json]`: print the firm's own accounts at the end of a day."""

import json
import sys
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from trades.trial_balance import TrialBalance, trial_balance
from web.timezones import eastern_today


class Command(BaseCommand):
    help = (
        "Print the firm's accounts at the end of a day, and the customer reserve. "
        "Exits 0 if debits equal credits, otherwise 1. Reads only."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--day", type=date.fromisoformat, help="An Eastern date, such as 2026-01-31; today by default."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        balance = trial_balance(options["day"] or eastern_today())
        self.stdout.write(_as_json(balance) if options["json"] else _as_lines(balance))
        if not balance.is_zero:
            sys.exit(1)


def _as_json(balance: TrialBalance) -> str:
    lines = [
        {"account": line.account, "part": line.part, "title": line.title, "debit": line.debit, "credit": line.credit}
        for line in balance.lines
    ]
    totals = {"debits": balance.debits, "credits": balance.credits, "reserve": balance.reserve, "bank": balance.bank}
    return json.dumps({"day": balance.day, "isZero": balance.is_zero, "lines": lines} | totals, default=str)


def _as_lines(balance: TrialBalance) -> str:
    rows = [(line.title, line.debit, line.credit) for line in balance.lines]
    rows += [("Total", balance.debits, balance.credits)]
    width = max(len(title) for title, _, _ in rows)
    lines = [f"{'':{width}}  {'debit':>22}  {'credit':>22}"]
    for title, *amounts in rows:
        figures = "  ".join(f"{'' if amount is None else f'{amount:,.4f}':>22}" for amount in amounts)
        lines.append(f"{title:{width}}  {figures}")
    lines.append(f"Customer reserve: {balance.reserve:,.4f} USD")
    return "\n".join(lines)
