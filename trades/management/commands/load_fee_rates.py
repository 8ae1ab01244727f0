"""`manage.py load_fee_rates`: enter an example schedule of regulatory fees."""

from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand
from django.db import transaction

from trades.fees import enter_rate
from trades.models import FeeRate

EXAMPLE = "EXAMPLE, check before use:"
SEC_ADVISORY = "SEC, Section 31 fee rate advisory"
TAF_SCHEDULE = "FINRA By-Laws, Schedule A, section 1"


class Rate(NamedTuple):
    """A rate of the example, as a public notice states it: USD per million USD, or USD per share and per trade."""

    kind: str
    first_day: date
    last_day: date | None
    per_million_usd: str = "0"
    per_share: str = "0"
    maximum: str | None = None
    source: str = ""


# The CAT fee is left out: it is so small per share that most brokers bear it themselves.
RATES = (
    Rate("sec", date(2024, 5, 22), date(2025, 5, 13), "27.80", source=f"{SEC_ADVISORY} for fiscal year 2024"),
    Rate("sec", date(2025, 5, 14), date(2026, 4, 3), "0", source=f"{SEC_ADVISORY} for fiscal year 2025"),
    Rate("sec", date(2026, 4, 4), None, "20.60", source=f"{SEC_ADVISORY} for fiscal year 2026"),
    Rate("taf", date(2024, 1, 1), date(2025, 12, 31), "0", "0.000166", "8.30", source=TAF_SCHEDULE),
    Rate(
        "taf", date(2026, 1, 1), date(2026, 9, 30), "0", "0.000195", "9.79", source=f"{TAF_SCHEDULE}; SR-FINRA-2024-019"
    ),
    Rate("taf", date(2026, 10, 1), date(2026, 12, 31), source="SR-FINRA-2026-021: no TAF for three months"),
    Rate("taf", date(2027, 1, 1), None, "0", "0.000195", "9.79", source="SR-FINRA-2026-020: the rates of 2026 stay"),
)


class Command(BaseCommand):
    """Enters the example unless a rate was ever entered, so running it again changes nothing."""

    help = "Enter an example schedule of regulatory fees, marked as an example, if there is no schedule yet."

    def handle(self, *_: Any, **options: Any) -> None:
        if FeeRate.objects.exists():
            self.stdout.write("There is already a schedule.")
            return
        with transaction.atomic(durable=True):
            for rate in RATES:
                enter_rate(
                    rate.kind,
                    rate.first_day,
                    rate.last_day,
                    per_usd=Decimal(rate.per_million_usd) / 1_000_000,
                    per_share=Decimal(rate.per_share),
                    maximum=None if rate.maximum is None else Decimal(rate.maximum),
                    source=f"{EXAMPLE} {rate.source}",
                    by="load_fee_rates",
                )
        self.stdout.write(f"{len(RATES)} example rates are in force.")
