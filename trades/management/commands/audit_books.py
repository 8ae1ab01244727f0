"""`manage.py audit_books --json`"""

import json
import sys
from typing import Any

from accounts.audit import BOOKS, LISTED_MAX
from django.core.management.base import BaseCommand, CommandParser

from trades.audit import TRADES, audit_books


class Command(BaseCommand):
    help = (
        "Prove the books and the trades from the tables alone, as of one instant, while trading goes on. "
        f"Exit 0 when all holds, 1 when not; of each rule {LISTED_MAX} violations at most are listed, all are counted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        audit = audit_books()
        findings = audit.findings
        if options["json"]:
            answer = {
                "ok": findings.ok,
                "customers": audit.customers,
                "trades": audit.trades,
                "postings": audit.postings,
                "violations": findings.violations,
                "violationsCount": sum(findings.counts.values()),
                "rules": findings.counts,
            }
            self.stdout.write(json.dumps(answer, default=str))
        else:
            self.stdout.write(f"{audit.customers} customers, {audit.trades} trades, {audit.postings} postings")
            for rule in BOOKS + TRADES:
                count = findings.counts[rule.name]
                self.stdout.write(f"{'holds ' if not count else 'BROKEN'} {rule.name}: {rule.proves}")
                for violation in findings.violations:
                    if violation["rule"] == rule.name:
                        ids = [f"{k} {v}" for k, v in violation.items() if k not in {"rule", "detail"} and v != ""]
                        self.stdout.write(f"         {', '.join(ids)}: {violation['detail']}")
                if count > LISTED_MAX:
                    self.stdout.write(f"         … and {count - LISTED_MAX} more")
            self.stdout.write("All holds." if findings.ok else f"{sum(findings.counts.values())} violations.")
        if not findings.ok:
            sys.exit(1)
