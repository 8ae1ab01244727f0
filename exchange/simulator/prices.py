"""Compute each stock's prices second by second, from its real days, before any split.

Everything here is a pure function of series and time, as long as the closures stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from exchange.simulator.calendar import Hours, Session
from exchange.simulator.day_path import Candle, DayPath
from exchange.simulator.formats import SECOND
from exchange.simulator.series import Series
from exchange.simulator.volume import DayVolume

# The date on which every series has its first real day.
SERIES_STARTS = date(2020, 1, 6)

# The 52 weeks of a high and a low: this many days before today, and today.
YEAR_DAYS = 364


class Traded(NamedTuple):
    """The prices of a period, and the number of shares traded in it."""

    open: int
    high: int
    low: int
    close: int
    volume: int


class Prices:
    """Prices and volumes by series. Methods raise KeyError if a series does not exist."""

    def __init__(self, hours: Hours, series: Mapping[str, Series]) -> None:
        self._hours = hours
        self.series = series
        self._start = hours.series_day(SERIES_STARTS)
        # Caches of pure functions, of limited size.
        self._path = lru_cache(maxsize=1024)(self._compute_path)
        self._volume = lru_cache(maxsize=4096)(self._compute_volume)
        self._traded = lru_cache(maxsize=32768)(self._compute_traded)
        self._ends = lru_cache(maxsize=32768)(self._compute_ends)
        self._year = lru_cache(maxsize=1024)(self._compute_year)
        self._year_sessions = lru_cache(maxsize=16)(self._find_year_sessions)

    def closures_changed(self) -> None:
        """Clear the caches that depend on closures."""
        for cache in (self._traded, self._ends, self._year, self._year_sessions):
            cache.cache_clear()

    def last(self, series: str, session: Session, time: int) -> int:
        """Return the price at a time of a session; after the session, its last price."""
        until = min(time, session.closes)
        if until >= session.scheduled_close:
            return self._whole_day(series, session.day).close
        return self.path_of(series, session).at((until - session.opens) // SECOND)

    def candle(self, series: str, session: Session, time: int) -> Candle:
        """Return open, high, low and last price of a session up to a time."""
        until = min(time, session.closes)
        if until >= session.scheduled_close:
            return self._whole_day(series, session.day)
        return self.path_of(series, session).until((until - session.opens) // SECOND)

    def volume(self, series: str, session: Session, time: int) -> int:
        """Return the number of shares traded in a session up to a time."""
        seconds = (session.scheduled_close - session.opens) // SECOND
        until = (min(time, session.closes) - session.opens) // SECOND
        return self._volume(series, session.day, seconds).until(until)

    def year(self, series: str, session: Session) -> tuple[int, int]:
        """Return the highest and the lowest price of the 52 weeks before a session."""
        return self._year(series, session.day)

    def traded(self, series: str, at: int, until: int) -> Traded | None:
        """Return the prices and volume of a period; None if the market was closed. Open and close are exact."""
        return self._traded(series, at, until)

    def ends(self, series: str, at: int, until: int) -> tuple[int, int] | None:
        """Return the open and close of `traded`, which takes less time; None if the market was closed."""
        return self._ends(series, at, until)

    def _compute_traded(self, series: str, at: int, until: int) -> Traded | None:
        prices: list[int] = []
        volume = 0
        for session, first, end in self._sessions_in(at, until):
            volume += self.volume(series, session, end) - self.volume(series, session, first)
            if (first, end) == (session.opens, session.closes):
                prices += self.candle(series, session, end)
            else:
                begin, finish = (first - session.opens) // SECOND, (end - session.opens) // SECOND
                prices += self.path_of(series, session).between(begin, finish)
        return Traded(prices[0], max(prices), min(prices), prices[-1], volume) if prices else None

    def _compute_ends(self, series: str, at: int, until: int) -> tuple[int, int] | None:
        prices: list[int] = []
        for session, first, end in self._sessions_in(at, until):
            if (first, end) == (session.opens, session.closes):
                day = self.candle(series, session, end)
                prices += (day.open, day.close)
            else:
                begin, finish = (first - session.opens) // SECOND, (end - session.opens) // SECOND
                prices += self.path_of(series, session).ends(begin, finish)
        return (prices[0], prices[-1]) if prices else None

    def _sessions_in(self, at: int, until: int) -> Iterator[tuple[Session, int, int]]:
        """Yield the sessions that overlap a period, each with the beginning and the end of the overlap."""
        day, last = self._hours.day_of(at), self._hours.day_of(until - 1)
        while day <= last:
            session = self._hours.session(day)
            day += timedelta(days=1)
            if session is not None and session.closes > at and session.opens < until:
                yield session, max(at, session.opens), min(until, session.closes)

    def _compute_year(self, series: str, day: date) -> tuple[int, int]:
        numbers, irregular = self._year_sessions(day)
        high, low = self.series[series].extremes(numbers)
        candles = [self.candle(series, session, session.closes) for session in irregular]
        return max([high, *(candle.high for candle in candles)]), min([low, *(candle.low for candle in candles)])

    def _find_year_sessions(self, day: date) -> tuple[list[int], list[Session]]:
        """Return the sessions of the 52 weeks before a day: the numbers of the regular ones, and the others.

        The others closed early, follow a closure, or open at a close that is before these 52 weeks.
        """
        days = (self._hours.session(day - timedelta(days=days_ago)) for days_ago in range(1, YEAR_DAYS + 1))
        sessions = [session for session in days if session is not None]
        irregular = [
            session
            for session in sessions
            if session.day in self._hours.closures or session.day - timedelta(days=1) in self._hours.closures
        ]
        irregular.append(sessions[-1])
        return [self._number(session.day) for session in sessions if session not in irregular], irregular

    def _whole_day(self, series: str, day: date) -> Candle:
        """Return the prices of a day. If the market never closes, it opens at the last close, without the real gap."""
        number = self._number(day)
        candle = self.series[series].day(number)
        if self._hours.name != "always":
            return candle
        open_price = self.series[series].day(number - 1).close
        return Candle(open_price, max(open_price, candle.high), min(open_price, candle.low), candle.close)

    def _number(self, day: date) -> int:
        return self._hours.series_day(day) - self._start

    def path_of(self, series: str, session: Session) -> DayPath:
        """Return the prices of a session, second by second."""
        # Computed up to the scheduled close, because an early close must not change the prices before it.
        return self._path(series, session.day, (session.scheduled_close - session.opens) // SECOND)

    def _compute_path(self, series: str, day: date, seconds: int) -> DayPath:
        return DayPath(f"{series} {day.isoformat()}", self._whole_day(series, day), seconds)

    def _compute_volume(self, series: str, day: date, seconds: int) -> DayVolume:
        largest = self.series[series].is_of_largest
        return DayVolume(series, day, self._whole_day(series, day), seconds, largest=largest)
