"""The market hours: `always`, or `nyse` (9:30 to 16:00 Eastern, half days to 13:00), except for closures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from exchange.simulator.formats import from_datetime, to_datetime

EASTERN = ZoneInfo("America/New_York")
OPENS = clock_time(9, 30)
CLOSES = clock_time(16, 0)
CLOSES_HALF_DAY = clock_time(13, 0)

# How many days to search for the next open and the next close. The longest closure in recent history was six days
# (September 2001).
LOOK_AHEAD_DAYS = 30


class Session(NamedTuple):
    """The trading hours of one day: from `opens`, inclusive, to `closes`, exclusive."""

    day: date
    opens: int
    closes: int
    # The close before an announced closure shortened the session.
    scheduled_close: int
    half_day: bool = False


class Closure(NamedTuple):
    """A day, announced at short notice, on which the market stays closed or closes early."""

    day: date
    # The early close, Eastern; None: closed all day.
    close: clock_time | None
    reason: str


class Hours(ABC):
    """The market hours. The methods take and return times in microseconds (see `formats`)."""

    name: str

    def __init__(self, closures: Iterable[Closure] = ()) -> None:
        self.closures = {closure.day: closure for closure in closures}

    @abstractmethod
    def scheduled_session(self, day: date) -> Session | None:
        """Return the session of a day by the regular calendar; None if the market is closed."""

    @abstractmethod
    def day_of(self, time: int) -> date:
        """Return the date of a time in the market's time zone."""

    @abstractmethod
    def series_day(self, day: date) -> int:
        """Return the number of a day: consecutive for possible trading days, counting holidays."""

    @abstractmethod
    def next_open(self, time: int) -> int | None:
        """Return the first open after a time; None if the market doesn't close before it."""

    @abstractmethod
    def next_close(self, time: int) -> int | None:
        """Return the first close after a time; None if there is none within LOOK_AHEAD_DAYS."""

    def session(self, day: date) -> Session | None:
        """Return the session of a day, with closures applied; None if the market stays closed."""
        session = self.scheduled_session(day)
        if session is None or day not in self.closures:
            return session
        close = self.closures[day].close
        if close is None:
            return None
        return session._replace(closes=min(session.closes, eastern(day, close)))

    def is_open(self, time: int) -> bool:
        """Return whether the market is open at a time."""
        session = self.session(self.day_of(time))
        return session is not None and session.opens <= time < session.closes

    def session_at(self, time: int) -> Session:
        """Return the session in progress at a time; while the market is closed, the last one before it."""
        day = self.day_of(time)
        session = self.session(day)
        while session is None or session.opens > time:
            day -= timedelta(days=1)
            session = self.session(day)
        return session

    def sessions_from(self, time: int) -> Iterator[Session]:
        """Yield the sessions of LOOK_AHEAD_DAYS, from the day of this time on."""
        first = self.day_of(time)
        for number in range(LOOK_AHEAD_DAYS):
            session = self.session(first + timedelta(days=number))
            if session is not None:
                yield session


class Always(Hours):
    """Open except for closures. A day runs from midnight to midnight UTC."""

    name = "always"

    def scheduled_session(self, day: date) -> Session | None:
        """Return the session of the UTC day. Every day has one."""
        opens = from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))
        return Session(day, opens, opens + 86_400_000_000, opens + 86_400_000_000)

    def day_of(self, time: int) -> date:
        return to_datetime(time).date()

    def series_day(self, day: date) -> int:
        return day.toordinal()

    def next_open(self, time: int) -> int | None:
        """Return the first open after the current or the next closure; None if there is none."""
        if not self.closures:
            return None
        closed_at: int | None = None if self.is_open(time) else time
        for session in self.sessions_from(time):
            if session.opens > time and closed_at is not None and session.opens > closed_at:
                return session.opens
            closed_at = session.closes
        return None

    def next_close(self, time: int) -> int | None:
        """Return the beginning of the next closure; None if there is none."""
        if not self.closures:
            return None
        closes = None
        for session in self.sessions_from(time):
            if closes is not None and session.opens > closes > time:
                return closes
            closes = session.closes
        return None


class Nyse(Hours):
    """The New York Stock Exchange's regular hours, with its holidays and half days."""

    name = "nyse"

    @lru_cache(maxsize=4096)  # noqa: B019 - a single instance, which lives as long as the process
    def scheduled_session(self, day: date) -> Session | None:
        """Return the session of a weekday that is not a holiday; some are half days."""
        if day.weekday() >= 5:
            return None
        closed, halves = _nyse_year(day.year)
        if day in closed:
            return None
        half = day in halves
        closes = eastern(day, CLOSES_HALF_DAY if half else CLOSES)
        return Session(day, eastern(day, OPENS), closes, closes, half)

    def day_of(self, time: int) -> date:
        return to_datetime(time).astimezone(EASTERN).date()

    def series_day(self, day: date) -> int:
        """Return the number of a day, counting weekdays only. A weekend has the number of its Friday."""
        weeks, weekday = divmod(day.toordinal() - 1, 7)
        return weeks * 5 + min(weekday, 4)

    def next_open(self, time: int) -> int | None:
        return next((session.opens for session in self.sessions_from(time) if session.opens > time), None)

    def next_close(self, time: int) -> int | None:
        return next((session.closes for session in self.sessions_from(time) if session.closes > time), None)


HOURS: dict[str, type[Always] | type[Nyse]] = {"always": Always, "nyse": Nyse}


def eastern(day: date, at: clock_time) -> int:
    """Return the time at which clocks in New York show this date and time of day."""
    return from_datetime(datetime.combine(day, at, EASTERN))


@lru_cache(maxsize=256)
def _nyse_year(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Return the closed days and the half days of a year."""
    from holidays import HALF_DAY, financial_holidays  # takes half a second to import, and only `nyse` needs it

    # The rules move some holidays into the year before or after.
    years = [candidate for candidate in (year - 1, year, year + 1) if 1 <= candidate <= 9999]
    closed = financial_holidays("NYSE", years=years)
    halves = financial_holidays("NYSE", years=years, categories=(HALF_DAY,))
    return frozenset(closed), frozenset(halves) - frozenset(closed)
