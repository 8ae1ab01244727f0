"""Portfolio history: equity, profit and cash flows over a fixed grid of windows.

A point's time is the beginning of its window, its equity that at the window's end. Windows lie on the trading days of
the exchange, Eastern, at whole seconds: the same question has the same points.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any

from django.utils import timezone

from accounts.models import CASH, Posting
from alpaca_api.day import is_always_open, last_close
from exchange import calendar, price_history, prices
from trades import equity
from web.timezones import EASTERN

STEPS = {
    "1Min": timedelta(minutes=1),
    "5Min": timedelta(minutes=5),
    "15Min": timedelta(minutes=15),
    "1H": timedelta(hours=1),
    "1D": timedelta(days=1),
}
UNITS = {"D": 1, "W": 7, "M": 31, "A": 366}  # days
PERIOD = re.compile(r"([1-9][0-9]{0,2})([DWMA])", re.ASCII)
POINTS_MAX = 12_000
INTRADAY_MAX = timedelta(days=31)
CASHFLOWS = {"deposit": "CSD", "withdrawal": "CSW", "adjustment": "JNLC", "dividend": "DIV", "fee": "FEE"}
FROM_OUTSIDE = {"CSD", "CSW", "JNLC"}  # what comes in or goes out is no profit
EXTENDED = time(4), time(20)


class TooLong(Exception):
    """More points than one answer has."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that one point stands for."""

    start: datetime
    end: datetime


def span(period: str) -> timedelta | None:
    """Return how long a period such as 1D, 2W, 1M, 1A is; None for "all".

    Raises:
        ValueError: It is no period.
    """
    if period == "all":
        return None
    if not (match := PERIOD.fullmatch(period)):
        raise ValueError(period)
    return timedelta(days=int(match[1]) * UNITS[match[2]])


def start_of(end: datetime, length: timedelta) -> datetime:
    """Return where a period that ends at a moment begins: whole days back, and then at the opening of a trading day."""
    if is_always_open():
        return end - length
    day = calendar.eastern_date(end)
    if length <= timedelta(days=5):  # so many trading days, whatever weekend or holiday lies between
        opened = [one for one in calendar.sessions(day - timedelta(days=20), day) if one.opens_at < end]
        return opened[-min(length.days, len(opened))].opens_at if opened else end - length
    return datetime.combine(day, time.min, EASTERN) - length


def windows(start: datetime, end: datetime, timeframe: str, reporting: str) -> list[Window]:
    """Return the windows between two moments, in order of time.

    Raises:
        TooLong: They are more than POINTS_MAX.
    """
    step = STEPS[timeframe]
    if (end - start) / step > POINTS_MAX:
        raise TooLong
    found = [
        window
        for opens, closes in _days(start, end, "market_hours" if timeframe == "1D" else reporting)
        for window in _cut(opens, closes, None if timeframe == "1D" else step)
        if window.end > start and window.start < end
    ]
    return [Window(window.start, min(window.end, end)) for window in found]


def _days(start: datetime, end: datetime, reporting: str) -> Iterator[tuple[datetime, datetime]]:
    """Yield when each day that counts begins and ends."""
    day, last = calendar.eastern_date(start), calendar.eastern_date(end)
    while day <= last:
        session = calendar.session(day)
        if reporting == "continuous" or is_always_open():
            midnight = datetime.combine(day, time.min, EASTERN)
            yield midnight, datetime.combine(day + timedelta(days=1), time.min, EASTERN)
        elif session and reporting == "extended_hours":
            yield datetime.combine(day, EXTENDED[0], EASTERN), datetime.combine(day, EXTENDED[1], EASTERN)
        elif session:
            yield session.opens_at, session.closes_at
        day += timedelta(days=1)


def _cut(opens: datetime, closes: datetime, step: timedelta | None) -> Iterator[Window]:
    if step is None:
        yield Window(opens, closes)
        return
    moments = [opens.timestamp()]
    while moments[-1] < closes.timestamp():
        moments.append(min(moments[-1] + step.total_seconds(), closes.timestamp()))
    for begins, ends in pairwise(moments):
        yield Window(datetime.fromtimestamp(begins, EASTERN), datetime.fromtimestamp(ends, EASTERN))


def portfolio(
    customer_id: int, grid: Sequence[Window], timeframe: str, cashflow_types: set[str] | None, resets_daily: bool
) -> dict[str, Any]:
    """Return the portfolio history over a grid of windows, of which there is at least one.

    Args:
        cashflow_types: Which to tell of; None: all.
        resets_daily: Whether profit is counted from each day's beginning, not from the first.
    """
    moments = [grid[0].start, *(window.end for window in grid)]
    values = equity_at(customer_id, moments, timeframe)
    flows = cashflows(customer_id, moments)
    base, points = values[0], values[1:]
    outside = [sum((flows[name][n] for name in FROM_OUTSIDE & flows.keys()), Decimal(0)) for n in range(len(grid))]
    first = 0
    if not base:  # an account that was opened since: its first equity is what it began with
        first = next((number for number, value in enumerate(points) if value), 0)
        base = points[first]
    gains, ratios = [], []
    since, brought = base, outside[first] if base != values[0] else Decimal(0)
    for number, (window, value) in enumerate(zip(grid, points, strict=True)):
        is_new_day = number > first and window.start.date() != grid[number - 1].start.date()
        if resets_daily and is_new_day and timeframe != "1D":
            since, brought = points[number - 1], outside[number - 1]
        gain = value - since - (outside[number] - brought) if number >= first else Decimal(0)
        gains.append(gain)
        ratios.append(float(round(gain / since, 6)) if since else None)
    told = flows.keys() if cashflow_types is None else flows.keys() & cashflow_types
    return {
        "timestamp": [int(window.start.timestamp()) for window in grid],
        "equity": [float(value) for value in points],
        "profit_loss": [float(gain) for gain in gains],
        "profit_loss_pct": ratios,
        "base_value": float(base),
        "base_value_asof": grid[first].start.astimezone(EASTERN).date().isoformat(),
        "timeframe": timeframe,
        "cashflow": {name: [float(flow) for flow in flows[name]] for name in sorted(told)},
    }


def equity_at(customer_id: int, moments: Sequence[datetime], timeframe: str) -> list[Decimal]:
    """Return the equity at each moment. Shares without a known price count at the last one known before, else not."""
    held = equity.held_at(customer_id, moments)
    quotes = prices.quotes(equity.tickers_of(held))
    step = int(STEPS[timeframe].total_seconds())
    is_now = timezone.now() - moments[-1] < timedelta(seconds=2)

    def course(ticker: str) -> list[Decimal | None]:
        asked, begins = list(moments), moments[0]
        if timeframe == "1D":  # the bar of a day ends at midnight UTC, after the session whose last price it has
            asked = [moments[0], *(moment + timedelta(hours=12) for moment in moments[1:])]
            begins -= timedelta(days=10)  # no run of closed days is longer
        found = price_history.price_at(price_history.closes(ticker, begins, step), asked)
        if ticker in quotes and moments[0] >= last_close():
            found[0] = quotes[ticker].previous_close
        if ticker in quotes and is_now:
            found[-1] = quotes[ticker].price
        return found

    known: list[Decimal] = []
    for value in equity.equity(held, course):
        known.append(value if value is not None else known[-1] if known else Decimal(0))
    return known


def cashflows(customer_id: int, moments: Sequence[datetime]) -> dict[str, list[Decimal]]:
    """Return, by type, what has flowed since the first moment until each of the others, USD; only what flowed."""
    rows = Posting.objects.filter(
        customer_id=customer_id,
        ticker=CASH,
        kind__in=list(CASHFLOWS),
        created_at__gt=moments[0],
        created_at__lte=moments[-1],
    ).order_by("id")
    flows: dict[str, list[Decimal]] = {}
    for kind, change, at in rows.values_list("kind", "change", "created_at"):
        mine = flows.setdefault(CASHFLOWS[kind], [Decimal(0)] * (len(moments) - 1))
        mine[bisect_left(moments, at) - 1] += change
    return {name: list(accumulate(mine)) for name, mine in flows.items()}
