"""`manage.py audit_books [--changes] [--gently] [--keep] [--json]`: prove the books and the trades."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.audit import LISTED_MAX
from office import proofs
from trades.audit import ALL_RULES, Audit, audit_books

KEPT_BY = "manage.py audit_books"


class Command(BaseCommand):
    help = (
        "Prove the books and the trades from the tables alone, as of one instant, while trading goes on. "
        f"Exits 0 if all rules hold, otherwise 1. Lists at most {LISTED_MAX} violations of each rule, and counts all."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument(
            "--changes",
            action="store_true",
            help="Examine only what can have changed since the last proof that was kept. It still examines everything "
            "if that proof found a violation, or if something suspicious is found.",
        )
        parser.add_argument(
            "--keep",
            action="store_true",
            help="Keep the result in the back office, open an exception for each violation, and let the next proof of "
            "changes start from here. Without it, nothing is written.",
        )
        parser.add_argument(
            "--gently",
            action="store_true",
            help="Rest after each statement, so that trading has to wait less for it. It takes four times as long.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        only_changes, rests = options["changes"], proofs.GENTLE if options["gently"] else 0.0
        if options["keep"]:
            _, audit = proofs.prove_and_show(KEPT_BY, only_changes, rests)
        else:
            audit = audit_books(proofs.mark_of(proofs.last_without_violations()), only_changes, rests)
        self.stdout.write(as_json(audit) if options["json"] else as_lines(audit))
        if not audit.findings.ok:
            sys.exit(1)


def as_json(audit: Audit) -> str:
    """Return the audit as a JSON object: the contract's fields, the violations counted, and what was examined."""
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
            "full": audit.is_full,
            "fullBecause": audit.full_because,
            "changedCustomers": audit.changed,
        },
        default=str,
    )


def as_lines(audit: Audit) -> str:
    """Return the audit as text: a line for each rule, followed by its violations."""
    lines = [f"{audit.customers} customers, {audit.trades} trades, {audit.postings} postings"]
    if audit.full_because:
        lines.append(f"Everything was examined, because {audit.full_because}.")
    elif not audit.is_full:
        lines.append(
            f"Only changes were examined: those of {audit.changed} customer{'' if audit.changed == 1 else 's'}."
        )
    for rule in ALL_RULES:
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
