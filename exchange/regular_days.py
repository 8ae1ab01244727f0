"""The days on which the New York Stock Exchange trades, and on which trades settle, by the published rules alone.

`exchange.calendar` adds the closures that are announced at short notice. This module needs no database.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

FIRST_DAY, LAST_DAY = date(2007, 1, 1), date(2035, 12, 31)

# Settlement cycles: the first trade date of each, and the number of settlement days (SEC rule 15c6-1).
CYCLES = ((date(2024, 5, 28), 1), (date(2017, 9, 5), 2), (date(1995, 6, 7), 3))


# One line a day: the date, and `closed` or `half`. `python -m exchange.write_regular_days` makes it with the `holidays`
# package, which would take 20 MB of each process and a tenth of its start.
DAYS = Path(__file__).with_name("regular_days.txt")


@lru_cache(maxsize=64)
def closed_and_half_days(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Return the closed weekdays and the half days of a year, FIRST_DAY to LAST_DAY."""
    days: dict[str, set[date]] = {"closed": set(), "half": set()}
    for line in DAYS.read_text().splitlines():
        if line.startswith(str(year)):
            day, kind = line.split()
            days[kind].add(date.fromisoformat(day))
    return frozenset(days["closed"]), frozenset(days["half"])


@lru_cache(maxsize=64)
def reserve_holidays(year: int) -> frozenset[date]:
    """Return the days of a year on which the Federal Reserve is closed but the exchange is open."""
    columbus = next(day for day in _days_from(date(year, 10, 8)) if day.weekday() == 0)  # the second Monday
    veterans = date(year, 11, 11)
    if veterans.weekday() == 6:  # a Sunday holiday moves to Monday; for a Saturday holiday, banks are open on Friday
        veterans += timedelta(days=1)
    return frozenset({columbus, veterans})


def _days_from(day: date) -> Iterator[date]:
    while True:
        yield day
        day += timedelta(days=1)


def is_settlement_day(day: date) -> bool:
    """Return whether trades settle on a day, if no closure was announced for it."""
    return day.weekday() < 5 and day not in closed_and_half_days(day.year)[0] and day not in reserve_holidays(day.year)


def settlement_date(trade_date: date, settles_on: Callable[[date], bool] = is_settlement_day) -> date:
    """Return the settlement date of a trade with this trade date (Eastern).

    Args:
        trade_date: The trade date.
        settles_on: Whether trades settle on a day.

    Raises:
        ValueError: The calendar does not support the date.
    """
    if not FIRST_DAY <= trade_date <= LAST_DAY:
        raise ValueError(f"{trade_date} is not between {FIRST_DAY} and {LAST_DAY}")
    days = next(days for first, days in CYCLES if trade_date >= first)
    day = trade_date
    while days:
        day += timedelta(days=1)
        if day > LAST_DAY:
            raise ValueError(f"{trade_date} settles after {LAST_DAY}")
        days -= settles_on(day)
    return day
