"""When the market is open. Two kinds of hours: `always`, and `nyse` (9:30 to 16:00 Eastern, half days to 13:00)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from functools import lru_cache
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from exchange.simulator.notation import from_datetime, to_datetime

EASTERN = ZoneInfo("America/New_York")
OPENS = clock_time(9, 30)
CLOSES = clock_time(16, 0)
CLOSES_HALF_DAY = clock_time(13, 0)

#: No run of closed days has ever been longer (September 2001: six days).
CLOSED_DAYS_MAX = 14


class Session(NamedTuple):
    """One day's trading, from `opens` up to `closes` (moments)."""

    day: date
    opens: int
    closes: int
    half_day: bool = False


class Hours(Protocol):
    """What the market and the book need to know of the hours."""

    name: str

    def session(self, day: date) -> Session | None:
        """The session of that day, or None when the market stays closed."""

    def day_of(self, moment: int) -> date:
        """The day, in the market's own zone, to which a moment belongs."""

    def series_day(self, day: date) -> int:
        """A number that grows by one from trading day to trading day, holidays counted as days."""

    def is_open(self, moment: int) -> bool:
        """Whether trades execute at that moment."""

    def next_open(self, moment: int) -> int | None:
        """The first opening after that moment; None where the market never closes."""

    def next_close(self, moment: int) -> int | None:
        """The first close after that moment; None where the market never closes."""


class Always:
    """Never closed. A day runs from midnight to midnight UTC."""

    name = "always"

    def session(self, day: date) -> Session | None:
        opens = from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))
        return Session(day, opens, opens + 86_400_000_000)

    def day_of(self, moment: int) -> date:
        return to_datetime(moment).date()

    def series_day(self, day: date) -> int:
        return day.toordinal()

    def is_open(self, moment: int) -> bool:
        return True

    def next_open(self, moment: int) -> int | None:
        return None

    def next_close(self, moment: int) -> int | None:
        return None


class Nyse:
    """The New York Stock Exchange's regular hours, with its holidays and half days."""

    name = "nyse"

    @lru_cache(maxsize=4096)  # noqa: B019 - one instance, as long as the process
    def session(self, day: date) -> Session | None:
        if day.weekday() >= 5:
            return None
        closed, halves = _nyse_year(day.year)
        if day in closed:
            return None
        half = day in halves
        return Session(day, _eastern(day, OPENS), _eastern(day, CLOSES_HALF_DAY if half else CLOSES), half)

    def day_of(self, moment: int) -> date:
        return to_datetime(moment).astimezone(EASTERN).date()

    def series_day(self, day: date) -> int:
        weeks, weekday = divmod(day.toordinal() - 1, 7)
        return weeks * 5 + min(weekday, 4)

    def is_open(self, moment: int) -> bool:
        session = self.session(self.day_of(moment))
        return session is not None and session.opens <= moment < session.closes

    def next_open(self, moment: int) -> int | None:
        return next((s.opens for s in self._from(moment) if s.opens > moment), None)

    def next_close(self, moment: int) -> int | None:
        return next((s.closes for s in self._from(moment) if s.closes > moment), None)

    def _from(self, moment: int) -> list[Session]:
        first = self.day_of(moment)
        days = (first + timedelta(days=n) for n in range(CLOSED_DAYS_MAX))
        return [session for day in days if (session := self.session(day))]


HOURS: dict[str, type[Always] | type[Nyse]] = {"always": Always, "nyse": Nyse}


def _eastern(day: date, at: clock_time) -> int:
    return from_datetime(datetime.combine(day, at, EASTERN))


@lru_cache(maxsize=256)
def _nyse_year(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """The closed days and the half days of a year."""
    from holidays import HALF_DAY, financial_holidays  # half a second to import, and only these hours need it

    # The rules move some holidays of a year into its neighbour, hence the wider look.
    years = [y for y in (year - 1, year, year + 1) if 1 <= y <= 9999]
    closed = financial_holidays("NYSE", years=years)
    halves = financial_holidays("NYSE", years=years, categories=(HALF_DAY,))
    return frozenset(closed), frozenset(halves) - frozenset(closed)
