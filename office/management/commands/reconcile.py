"""`manage.py reconcile`"""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exchange.messages import Unknown
from office.reconcile import reconcile


class Command(BaseCommand):
    help = "Compare trades and postings with the exchange's own record: exit 0 if they agree, 1 if not."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = reconcile("command")
        except Unknown as unknown:
            raise CommandError(f"The exchange does not answer: {unknown}") from None
        self.stdout.write(
            f"{found.orders} orders, {found.fills} fills, {found.tickers} stocks: {found.breaks} differences "
            f"in {found.took_ms / 1000:.1f} s"
        )
        if found.breaks:
            sys.exit(1)
