"""Regulatory fees of a trade, by the schedule that was in force on its trade date.

Each fee is rounded up to the cent. Together they never take more than the customer has: the fees of a sale are at most
its proceeds, those of a purchase at most the cash that is left. The broker pays the rest.

Source: section 31 of the Securities Exchange Act; FINRA By-Laws, Schedule A (TAF); CAT NMS Plan.
"""

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_CEILING, Decimal

from django.db import Error

from trades.models import FeeRate, Type
from web.cached import Cached

CENT = Decimal("0.01")
SCHEDULE_AGE_SECONDS_MAX = 2.0


def schedule() -> Sequence[FeeRate]:
    """Return every rate ever entered, newest first, at most SCHEDULE_AGE_SECONDS_MAX old."""
    return _schedule.get()


def expire() -> None:
    """Expire the cached schedule, so that it is read again when it is next needed."""
    _schedule.expire()


def rates_on(day: date) -> list[FeeRate]:
    """Return the rate of each kind that is in force for trades executed on a day."""
    rates: dict[str, FeeRate] = {}
    for rate in schedule():
        if rate.kind not in rates and rate.first_day <= day and (rate.last_day is None or day <= rate.last_day):
            rates[rate.kind] = rate
    return [rates[kind] for kind in FeeRate.Kind.values if kind in rates]


def fees_of(type: str, quantity: int, amount: Decimal, traded_on: date, fees_max: Decimal) -> dict[str, Decimal]:
    """Return the fees of a trade by kind, USD, without those that are zero.

    Args:
        type: BUY or SELL.
        quantity: Shares.
        amount: The total before fees, USD.
        traded_on: Its trade date, Eastern.
        fees_max: The most that all fees together may take, USD.
    """
    fees: dict[str, Decimal] = {}
    for rate in rates_on(traded_on):
        if type == Type.SELL or rate.is_for_purchases:
            exact = amount * rate.per_usd + quantity * rate.per_share
            capped = exact if rate.maximum is None else min(exact, rate.maximum)
            fee = min(capped.quantize(CENT, ROUND_CEILING), fees_max)
            if fee > 0:
                fees[rate.kind] = fee
                fees_max -= fee
    return fees


def enter_rate(
    kind: str,
    first_day: date,
    last_day: date | None,
    *,
    per_usd: Decimal,
    per_share: Decimal,
    maximum: Decimal | None,
    source: str,
    by: str,
) -> FeeRate:
    """Add a rate to the schedule. Every process applies it within SCHEDULE_AGE_SECONDS_MAX.

    Idempotent: no. Each call adds a row, and the newest row is in force.
    """
    rate = FeeRate.objects.create(
        kind=kind,
        first_day=first_day,
        last_day=last_day,
        per_usd=per_usd,
        per_share=per_share,
        maximum=maximum,
        source=source,
        by=by,
    )
    expire()
    return rate


def _read_schedule() -> Sequence[FeeRate]:
    return list(FeeRate.objects.order_by("-id"))


# Without an initial value: a thread must not settle a trade without fees while another one reads the first schedule.
_schedule: Cached[Sequence[FeeRate]] = Cached(_read_schedule, SCHEDULE_AGE_SECONDS_MAX, stale_after=(Error,))
