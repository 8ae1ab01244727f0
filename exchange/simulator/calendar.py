"""Tell when the market is open: `always`, or `nyse` (9:30 to 16:00 Eastern, half days to 13:00), less closures."""

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

# How many days ahead the next opening and the next close are looked for. The longest run of closed days so far was
# six (September 2001).
LOOK_AHEAD_DAYS = 30


class Session(NamedTuple):
    """One day's trading, from `opens` up to `closes` (times)."""

    day: date
    opens: int
    closes: int
    # When it was to close before a closure cut it short.
    scheduled_close: int
    half_day: bool = False


class Closure(NamedTuple):
    """A day on which the market stays closed, or closes early, announced at short notice."""

    day: date
    # The early close, Eastern; None where the market stays closed all day.
    close: clock_time | None
    reason: str


class Hours(ABC):
    """The market's hours."""

    name: str

    def __init__(self, closures: Iterable[Closure] = ()) -> None:
        self.closures = {closure.day: closure for closure in closures}

    @abstractmethod
    def scheduled_session(self, day: date) -> Session | None:
        """That day's session by the regular calendar, or None."""

    @abstractmethod
    def day_of(self, time: int) -> date:
        """The day, in the market's own time zone, to which a time belongs."""

    @abstractmethod
    def series_day(self, day: date) -> int:
        """A number that grows by one from trading day to trading day, counting holidays."""

    @abstractmethod
    def next_open(self, time: int) -> int | None:
        """The first opening after that time; None where the market does not close before."""

    @abstractmethod
    def next_close(self, time: int) -> int | None:
        """The first close after that time; None where the market does not close in the days ahead."""

    def session(self, day: date) -> Session | None:
        """The session of that day, or None when the market stays closed."""
        session = self.scheduled_session(day)
        if session is None or day not in self.closures:
            return session
        close = self.closures[day].close
        if close is None:
            return None
        return session._replace(closes=min(session.closes, eastern(day, close)))

    def is_open(self, time: int) -> bool:
        """Whether trades execute at that time."""
        session = self.session(self.day_of(time))
        return session is not None and session.opens <= time < session.closes

    def session_at(self, time: int) -> Session:
        """The session that a time is in or, when the market is closed, the one before it."""
        day = self.day_of(time)
        session = self.session(day)
        while session is None or session.opens > time:
            day -= timedelta(days=1)
            session = self.session(day)
        return session

    def sessions_from(self, time: int) -> Iterator[Session]:
        """The sessions of that time's day and of the days ahead."""
        first = self.day_of(time)
        for number in range(LOOK_AHEAD_DAYS):
            session = self.session(first + timedelta(days=number))
            if session is not None:
                yield session


class Always(Hours):
    """Open except for closures. A day runs from midnight to midnight UTC."""

    name = "always"

    def scheduled_session(self, day: date) -> Session | None:
        """Every day has a session."""
        opens = from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))
        return Session(day, opens, opens + 86_400_000_000, opens + 86_400_000_000)

    def day_of(self, time: int) -> date:
        return to_datetime(time).date()

    def series_day(self, day: date) -> int:
        return day.toordinal()

    def next_open(self, time: int) -> int | None:
        """The first opening after a closure that is in force or comes; None if there is none."""
        if not self.closures:
            return None
        closed_at: int | None = None if self.is_open(time) else time
        for session in self.sessions_from(time):
            if session.opens > time and closed_at is not None and session.opens > closed_at:
                return session.opens
            closed_at = session.closes
        return None

    def next_close(self, time: int) -> int | None:
        """The beginning of the next closure; None if there is none."""
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

    @lru_cache(maxsize=4096)  # noqa: B019 - one instance, as long as the process
    def scheduled_session(self, day: date) -> Session | None:
        """Weekdays that are not holidays have a session; some are half days."""
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
        """Weekdays count, weekends are the Friday before them."""
        weeks, weekday = divmod(day.toordinal() - 1, 7)
        return weeks * 5 + min(weekday, 4)

    def next_open(self, time: int) -> int | None:
        return next((session.opens for session in self.sessions_from(time) if session.opens > time), None)

    def next_close(self, time: int) -> int | None:
        return next((session.closes for session in self.sessions_from(time) if session.closes > time), None)


HOURS: dict[str, type[Always] | type[Nyse]] = {"always": Always, "nyse": Nyse}


def eastern(day: date, at: clock_time) -> int:
    """The time at which clocks in New York show that day and time."""
    return from_datetime(datetime.combine(day, at, EASTERN))


@lru_cache(maxsize=256)
def _nyse_year(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """The closed days and the half days of a year."""
    from holidays import HALF_DAY, financial_holidays  # half a second to import, and only these hours need it

    # The rules move some holidays of a year into its neighbor, hence the wider look.
    years = [y for y in (year - 1, year, year + 1) if 1 <= y <= 9999]
    closed = financial_holidays("NYSE", years=years)
    halves = financial_holidays("NYSE", years=years, categories=(HALF_DAY,))
    return frozenset(closed), frozenset(halves) - frozenset(closed)
