"""The days on which the New York Stock Exchange trades, by its published rules."""

from datetime import date, time, timedelta
from functools import lru_cache

OPENS, CLOSES, CLOSES_HALF_DAY = time(9, 30), time(16, 0), time(13, 0)


def trading_days(first: date, last: date) -> list[tuple[date, time, time]]:
    """The trading days from first to last, both included, with opening and close, Eastern."""
    days = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        closed, halves = _year(day.year)
        if day.weekday() < 5 and day not in closed:
            days.append((day, OPENS, CLOSES_HALF_DAY if day in halves else CLOSES))
    return days


@lru_cache(maxsize=64)
def _year(year: int) -> tuple[frozenset[date], frozenset[date]]:
    from holidays import HALF_DAY, financial_holidays  # half a second to import, for one endpoint

    # The rules move some holidays of a year into its neighbour, hence the wider look.
    years = [near for near in (year - 1, year, year + 1) if date.min.year <= near <= date.max.year]
    closed = financial_holidays("NYSE", years=years)
    halves = financial_holidays("NYSE", years=years, categories=(HALF_DAY,))
    return frozenset(closed), frozenset(halves) - frozenset(closed)
