"""`manage.py audit_books [--json]`: prove the books and the trades."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.audit import BOOKS, LISTED_MAX
from trades.audit import TRADES, Audit, audit_books


class Command(BaseCommand):
    help = (
        "Prove the books and the trades from the tables alone, as of one instant, while trading goes on. "
        f"Exits 0 if all rules hold, otherwise 1. Lists at most {LISTED_MAX} violations of each rule, and counts all."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        audit = audit_books()
        self.stdout.write(as_json(audit) if options["json"] else as_lines(audit))
        if not audit.findings.ok:
            sys.exit(1)


def as_json(audit: Audit) -> str:
    """Return the audit as a JSON object: the contract's fields, and the violations counted in total and by rule."""
    counts = audit.findings.counts
    return json.dumps(
        {
            "ok": audit.findings.ok,
            "customers": audit.customers,
            "trades": audit.trades,
            "postings": audit.postings,
            "violations": audit.findings.violations,
            "violationsCount": sum(counts.values()),
            "rules": counts,
        },
        default=str,
    )


def as_lines(audit: Audit) -> str:
    """Return the audit as text: a line for each rule, followed by its violations."""
    lines = [f"{audit.customers} customers, {audit.trades} trades, {audit.postings} postings"]
    for rule in BOOKS + TRADES:
        count = audit.findings.counts[rule.name]
        lines.append(f"{'BROKEN' if count else 'holds '} {rule.name}: {rule.proves}")
        listed = [violation for violation in audit.findings.violations if violation["rule"] == rule.name]
        for violation in listed:
            ids = [f"{name} {value}" for name, value in violation.items() if name not in {"rule", "detail"}]
            lines.append(f"       {', '.join(ids)}: {violation['detail']}")
        if count > len(listed):
            lines.append(f"       … and {count - len(listed)} more")
    count = sum(audit.findings.counts.values())
    lines.append("All rules hold." if not count else "1 violation." if count == 1 else f"{count} violations.")
    return "\n".join(lines)
