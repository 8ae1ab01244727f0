"""`manage.py load_fee_rates`: enter an example schedule of regulatory fees."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand

from trades.fees import enter_rate
from trades.models import FeeRate

EXAMPLE = "EXAMPLE, not for real trading."
# kind, first day, last day, USD per USD, USD per share, maximum, source
RATES = (
    (
        "sec",
        date(2024, 5, 22),
        date(2025, 5, 13),
        "0.0000278",
        "0",
        None,
        "SEC fee rate advisory: 27.80 USD per million.",
    ),
    ("sec", date(2025, 5, 14), None, "0", "0", None, "SEC fee rate advisory: 0.00 USD per million."),
    (
        "taf",
        date(2024, 1, 1),
        None,
        "0",
        "0.000166",
        "8.30",
        "FINRA: 0.000166 USD a share, at most 8.30, in 2024-2025.",
    ),
    ("cat", date(2024, 1, 1), None, "0", "0.000035", None, "An invented rate."),
)


class Command(BaseCommand):
    """Enters the example unless a rate was ever entered, so running it again changes nothing."""

    help = "Enter an example schedule of regulatory fees, marked as an example, if there is no schedule yet."

    def handle(self, *_: Any, **options: Any) -> None:
        if FeeRate.objects.exists():
            self.stdout.write("There is already a schedule.")
            return
        for kind, first_day, last_day, per_usd, per_share, maximum, source in RATES:
            enter_rate(
                kind,
                first_day,
                last_day,
                per_usd=Decimal(per_usd),
                per_share=Decimal(per_share),
                maximum=None if maximum is None else Decimal(maximum),
                source=f"{EXAMPLE} {source}",
                by="load_fee_rates",
            )
        self.stdout.write(f"{len(RATES)} example rates are in force.")
