"""Portfolio history: equity, profit and cash flows over a fixed grid of time windows.

The time of a point is the start of its window; its equity is the value at the end of the window. Windows cover the
trading days of the exchange in Eastern time and begin at whole seconds, so the same query always has the same points.
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
from alpaca_api.day import last_close
from exchange import calendar, market, price_history, prices
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
EXTERNAL_FLOWS = {"CSD", "CSW", "JNLC"}  # money paid in or out, which is not profit
EXTENDED_HOURS = time(4), time(20)  # Eastern time


class TooManyPoints(Exception):
    """The history would have more than POINTS_MAX points."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time interval of one point."""

    start: datetime
    end: datetime


def parse_period(period: str) -> timedelta | None:
    """Return the length of a period such as 1D, 2W, 1M or 1A; None for "all".

    Raises:
        ValueError: The text is not a period.
    """
    if period == "all":
        return None
    if not (match := PERIOD.fullmatch(period)):
        raise ValueError(period)
    return timedelta(days=int(match[1]) * UNITS[match[2]])


def period_start(end: datetime, length: timedelta) -> datetime:
    """Return when a period begins that ends at a given time.

    A period of up to five days counts trading days and begins with an open; a longer one begins at midnight Eastern.
    """
    if market.is_always_open():
        return end - length
    day = calendar.eastern_date(end)
    if length <= timedelta(days=5):  # trading days, not counting weekends and holidays
        opened = calendar.sessions_opened(end)
        return opened[-min(length.days, len(opened))].opens_at if opened else end - length
    return datetime.combine(day, time.min, EASTERN) - length


def windows(start: datetime, end: datetime, timeframe: str, reporting: str) -> list[Window]:
    """Return the windows between two times, in order.

    Raises:
        TooManyPoints: There are more than POINTS_MAX.
    """
    step = STEPS[timeframe]
    if (end - start) / step > POINTS_MAX:
        raise TooManyPoints
    grid = [
        window
        for opens, closes in _days(start, end, "market_hours" if timeframe == "1D" else reporting)
        for window in _split(opens, closes, None if timeframe == "1D" else step)
        if window.end > start and window.start < end
    ]
    return [Window(window.start, min(window.end, end)) for window in grid]


def _days(start: datetime, end: datetime, reporting: str) -> Iterator[tuple[datetime, datetime]]:
    """Yield the start and the end of the reporting hours of each day."""
    day, last = calendar.eastern_date(start), calendar.eastern_date(end)
    while day <= last:
        session = calendar.session(day)
        if reporting == "continuous" or market.is_always_open():
            midnight = datetime.combine(day, time.min, EASTERN)
            yield midnight, datetime.combine(day + timedelta(days=1), time.min, EASTERN)
        elif session and reporting == "extended_hours":
            begins, ends = EXTENDED_HOURS
            yield datetime.combine(day, begins, EASTERN), datetime.combine(day, ends, EASTERN)
        elif session:
            yield session.opens_at, session.closes_at
        day += timedelta(days=1)


def _split(opens: datetime, closes: datetime, step: timedelta | None) -> Iterator[Window]:
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
    """Return the portfolio history over a grid of windows.

    Args:
        grid: At least one window.
        cashflow_types: Which cash flows to include; None: all.
        resets_daily: Whether profit starts at zero each day, rather than only at the first point.
    """
    moments = [grid[0].start, *(window.end for window in grid)]
    values = equity_at(customer_id, moments, timeframe)
    flows = cashflows(customer_id, moments)
    base, points = values[0], values[1:]
    external = [sum((flows[name][n] for name in EXTERNAL_FLOWS & flows.keys()), Decimal(0)) for n in range(len(grid))]
    first = 0
    if not base:  # the account was opened within this period: measure profit from its first equity
        first = next((number for number, value in enumerate(points) if value), 0)
        base = points[first]
    gains, ratios = [], []
    reference, external_before = base, external[first] if base != values[0] else Decimal(0)
    for number, (window, value) in enumerate(zip(grid, points, strict=True)):
        is_new_day = number > first and window.start.date() != grid[number - 1].start.date()
        if resets_daily and is_new_day and timeframe != "1D":
            reference, external_before = points[number - 1], external[number - 1]
        gain = value - reference - (external[number] - external_before) if number >= first else Decimal(0)
        gains.append(gain)
        ratios.append(float(round(gain / reference, 6)) if reference else None)
    included_types = flows.keys() if cashflow_types is None else flows.keys() & cashflow_types
    return {
        "timestamp": [int(window.start.timestamp()) for window in grid],
        "equity": [float(value) for value in points],
        "profit_loss": [float(gain) for gain in gains],
        "profit_loss_pct": ratios,
        "base_value": float(base),
        "base_value_asof": grid[first].start.astimezone(EASTERN).date().isoformat(),
        "timeframe": timeframe,
        "cashflow": {name: [float(flow) for flow in flows[name]] for name in sorted(included_types)},
    }


def equity_at(customer_id: int, moments: Sequence[datetime], timeframe: str) -> list[Decimal]:
    """Return the equity at each moment. While a price is unknown, it is that of the moment before; 0 at first."""
    held = equity.held_at(customer_id, moments)
    tickers = equity.tickers_of(held)
    quotes = prices.quotes(tickers)
    lookups, begins = list(moments), moments[0]
    if timeframe == "1D":  # a daily bar ends at midnight UTC, some hours after the session that it covers
        lookups = [moments[0], *(moment + timedelta(hours=12) for moment in moments[1:])]
        begins -= timedelta(days=10)  # the exchange is never closed for longer
    closes = price_history.closes(tickers, begins, int(STEPS[timeframe].total_seconds()))
    is_today, is_now = moments[0] >= last_close(), timezone.now() - moments[-1] < timedelta(seconds=2)

    def prices_at(ticker: str) -> list[Decimal | None]:
        known = price_history.price_at(closes[ticker], lookups)
        if ticker in quotes and is_today:
            known[0] = quotes[ticker].previous_close
        if ticker in quotes and is_now:
            known[-1] = quotes[ticker].price
        return known

    equities: list[Decimal] = []
    for value in equity.equity(held, prices_at):
        equities.append(value if value is not None else equities[-1] if equities else Decimal(0))
    return equities


def cashflows(customer_id: int, moments: Sequence[datetime]) -> dict[str, list[Decimal]]:
    """Return, by type, the cash flow in USD up to each moment after the first. Types without any flow are omitted."""
    rows = Posting.objects.filter(
        customer_id=customer_id,
        ticker=CASH,
        kind__in=list(CASHFLOWS),
        created_at__gt=moments[0],
        created_at__lte=moments[-1],
    ).order_by("id")
    flows: dict[str, list[Decimal]] = {}
    for kind, change, at in rows.values_list("kind", "change", "created_at"):
        flow = flows.setdefault(CASHFLOWS[kind], [Decimal(0)] * (len(moments) - 1))
        flow[bisect_left(moments, at) - 1] += change
    return {name: list(accumulate(flow)) for name, flow in flows.items()}
