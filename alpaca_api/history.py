"""What an account was worth, told from its postings."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts.ledger import money
from accounts.models import CASH, Posting

STEPS = {
    "1Min": timedelta(minutes=1),
    "5Min": timedelta(minutes=5),
    "15Min": timedelta(minutes=15),
    "1H": timedelta(hours=1),
    "1D": timedelta(days=1),
}
UNITS = {"D": timedelta(days=1), "W": timedelta(days=7), "M": timedelta(days=31), "A": timedelta(days=366)}
PERIOD = re.compile(r"([1-9][0-9]{0,2})([DWMA])", re.ASCII)
POINTS_MAX = 2_000
POSTINGS_MAX = 200_000


class TooLong(Exception):
    """More points, or more postings, than one answer takes."""


def span(period: str) -> timedelta:
    """How long a period such as 1D, 2W, 1M, 1A is. Raises ValueError."""
    if not (match := PERIOD.fullmatch(period)):
        raise ValueError(period)
    return int(match[1]) * UNITS[match[2]]


def portfolio(
    customer_id: int, start: datetime, end: datetime, timeframe: str, prices: dict[str, Decimal]
) -> dict[str, Any]:
    """Equity from `start` to `end`, a point a step. Shares count at the price of the customer's last trade in them
    until then; at the last point at `prices`, the last of the market. Raises TooLong."""
    step = STEPS[timeframe]
    if (end - start) / step > POINTS_MAX:
        raise TooLong
    postings = list(Posting.objects.filter(customer_id=customer_id, created_at__lte=end).order_by("id")[:POSTINGS_MAX])
    if len(postings) == POSTINGS_MAX:
        raise TooLong
    cash, last = Decimal(0), dict[str, Decimal]()
    shares: defaultdict[str, Decimal] = defaultdict(Decimal)
    number = 0
    moments, equity = [], []

    def worth(at: dict[str, Decimal]) -> Decimal:
        return cash + sum(
            (money(held * at.get(ticker, last[ticker])) for ticker, held in shares.items() if held), Decimal(0)
        )

    base = Decimal(0)
    moment = start
    is_first = True
    while True:
        while number < len(postings) and postings[number].created_at <= moment:
            posting = postings[number]
            number += 1
            if posting.ticker == CASH:
                cash = posting.total
            else:
                shares[posting.ticker] = posting.total
                last[posting.ticker] = posting.price or last.get(posting.ticker, Decimal(0))
        is_last = moment >= end
        value = worth(prices if is_last else {})
        if is_first:
            base, is_first = value, False
        moments.append(int(moment.timestamp()))
        equity.append(value)
        if is_last:
            break
        moment = min(moment + step, end)
    return {
        "timestamp": moments,
        "equity": [float(value) for value in equity],
        "profit_loss": [float(value - base) for value in equity],
        "profit_loss_pct": [float(round((value - base) / base, 6)) if base else None for value in equity],
        "base_value": float(base),
        "base_value_asof": start.astimezone(UTC).date().isoformat(),
        "timeframe": timeframe,
        "cashflow": {},
    }
