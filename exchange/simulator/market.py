"""Tell what is listed and what it costs: a pure function of ticker and time, so that quotes, charts and fills agree.

Each stock's prices lead through real days, walked forwards, then backwards, so that there is no jump where a series
ends. Shares are those of the day that is asked about: a split divides the prices from its ex-date on, and all earlier
ones for whoever looks back after it.
"""

from __future__ import annotations

import csv
import lzma
import sys
from array import array
from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from exchange.simulator.calendar import Closure, Hours, Session
from exchange.simulator.corporate_actions import CorporateAction
from exchange.simulator.day_path import CENT, DOLLAR, Candle, DayPath
from exchange.simulator.formats import SECOND
from exchange.simulator.listings import Listing, Listings

DATA = Path(__file__).parent / "data"

#: On this day every series stands at its first real day.
SERIES_STARTS = date(2020, 1, 6)

#: Prices drawn at most for one chart, whatever its number of bars.
CHART_SAMPLES_MAX = 3000


class Bar(NamedTuple):
    """The prices of a period that starts at `at`."""

    at: int
    open: int
    high: int
    low: int
    close: int


class Market:
    """Every listed stock's price at any time. Reading it changes nothing; the same question has the same answer."""

    def __init__(self, hours: Hours, actions: Iterable[CorporateAction] = ()) -> None:
        self.hours = hours
        with open(DATA / "listings.csv", newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        self.listings = Listings(map(_listing, rows), actions)
        self._places = _places(rows)
        self._prices = _read_prices()
        self._start = hours.series_day(SERIES_STARTS)
        # Bounded caches of pure functions.
        self._series = lru_cache(maxsize=1024)(self._unpack_series)
        self._day = lru_cache(maxsize=16384)(self._draw_day)
        self._path = lru_cache(maxsize=4096)(self._draw_path)
        self._latest: dict[str, tuple[int, int]] = {}

    # -- what is listed

    def listed(self, time: int) -> dict[str, Listing]:
        """What is listed at that time, by ticker. It changes when a session opens."""
        return self.listings.on(self.hours.session_at(time).day)

    def announce(self, action: CorporateAction) -> None:
        """Take in a corporate action that `listings.check` has let pass."""
        self.listings.add(action)
        self._latest.clear()

    def set_closures(self, closures: Iterable[Closure]) -> None:
        """Put these closures in the place of those before."""
        self.hours.closures = {closure.day: closure for closure in closures}
        self._latest.clear()

    def split_between(self, ticker: str, after: int, until: int) -> CorporateAction | None:
        """The split of a stock that took effect after one time and not after another, or None."""
        return self.listings.split_between(ticker, self.hours.session_at(after).day, self.hours.session_at(until).day)

    def reference_price(self, action: CorporateAction, time: int) -> int | None:
        """What one share is worth at that time, after a split in new shares; None where the action needs no price."""
        if action.kind not in ("SPLIT", "DELISTING") or action.ticker not in self.listed(time):
            return None
        return _scaled(self.price(action.ticker, time), Fraction(action.numerator or 1, action.denominator or 1))

    # -- what it costs

    def price(self, ticker: str, time: int) -> int:
        """The price of one share at that time, constant within a second; while closed, the last close.

        Raises:
            KeyError: if the ticker is not listed then.
        """
        second = time // SECOND
        latest = self._latest.get(ticker)
        if latest is not None and latest[0] == second:
            return latest[1]
        session = self.hours.session_at(time)
        stock = self.listings.on(session.day)[ticker]
        price = _scaled(self._last_price(stock.series, session, time), stock.split_factor)
        self._latest[ticker] = (second, price)
        return price

    def previous_close(self, ticker: str, time: int) -> int:
        """The close of the session before the one that the time is in, or was last in.

        Raises:
            KeyError: if the ticker is not listed then.
        """
        session = self.hours.session_at(time)
        stock = self.listings.on(session.day)[ticker]
        before = self.hours.session_at(session.opens - 1)
        return _scaled(self.candle(stock.series, before).close, stock.split_factor)

    def day(self, ticker: str, time: int) -> Candle:
        """Open, high, low and last price of the session that a time is in, or was last in, up to that time.

        Raises:
            KeyError: if the ticker is not listed then.
        """
        session = self.hours.session_at(time)
        stock = self.listings.on(session.day)[ticker]
        return _scaled_candle(self._candle_until(stock.series, session, time), stock.split_factor)

    def bars(self, ticker: str, start: int, end: int, step: int, now: int) -> list[Bar]:
        """Bars of `step` microseconds from `start` up to `end`, in shares of now; closed periods are left out.

        Open and close are exact, and so are high and low of whole sessions; of parts of one, high and low are those of
        evenly spaced samples.

        Raises:
            KeyError: if the ticker is not listed now.
        """
        stock = self.listed(now)[ticker]
        count = max(1, -(-(end - start) // step))
        samples = max(2, min(16, CHART_SAMPLES_MAX // count))
        found = []
        for at in range(start, end, step):
            until = min(at + step, end)
            traded = self._traded(stock.series, at, until, samples)
            if traded:
                prices = (traded[0], max(traded), min(traded), traded[-1])
                found.append(Bar(at, *(_scaled(price, stock.split_factor) for price in prices)))
        return found

    def candle(self, series: str, session: Session) -> Candle:
        """Open, high, low and close of a whole session, in shares of the beginning.

        Raises:
            KeyError: if there is no such series.
        """
        return self._candle_until(series, session, session.closes)

    # -- drawing, in shares of the beginning

    def _last_price(self, series: str, session: Session, time: int) -> int:
        until = min(time, session.closes)
        if until >= session.scheduled_close:
            return self._whole_day(series, session.day).close
        return self._path_of(series, session).at((until - session.opens) // SECOND)

    def _candle_until(self, series: str, session: Session, time: int) -> Candle:
        until = min(time, session.closes)
        if until >= session.scheduled_close:
            return self._whole_day(series, session.day)
        return self._path_of(series, session).until((until - session.opens) // SECOND)

    def _whole_day(self, series: str, day: date) -> Candle:
        return self._day(series, self.hours.series_day(day))

    def _traded(self, series: str, at: int, until: int, samples: int) -> list[int]:
        """Prices of a period in order of time, with the extremes of whole sessions among them."""
        prices: list[int] = []
        day, last = self.hours.day_of(at), self.hours.day_of(until - 1)
        while day <= last:
            session = self.hours.session(day)
            day += timedelta(days=1)
            if session is None or session.closes <= at or session.opens >= until:
                continue
            first, end = max(at, session.opens), min(until, session.closes)
            if (first, end) == (session.opens, session.closes):
                prices += self.candle(series, session)
            else:
                path = self._path_of(series, session)
                begin, length = (first - session.opens) // SECOND, (end - first) // SECOND
                prices += (path.at(begin + length * n // samples) for n in range(samples + 1))
        return prices

    def _unpack_series(self, series: str) -> list[Candle]:
        offset, days = self._places[series]
        opens, closes, highs, lows = (self._prices[offset + n * days : offset + (n + 1) * days] for n in range(4))
        last, candles = 0, []
        for n in range(days):
            open_ = last + opens[n]
            last = open_ + closes[n]
            high, low = max(open_, last) + highs[n], min(open_, last) - lows[n]
            candles.append(Candle(open_ * CENT, high * CENT, low * CENT, last * CENT))
        return candles

    def _draw_day(self, series: str, number: int) -> Candle:
        """A day's prices. Where the market never closes, a day opens at the close before it, whatever the gap was."""
        candle = self._real_day(series, number)
        if self.hours.name != "always":
            return candle
        open_ = self._real_day(series, number - 1).close
        return Candle(open_, max(open_, candle.high), min(open_, candle.low), candle.close)

    def _real_day(self, series: str, number: int) -> Candle:
        days = self._series(series)
        position = (number - self._start) % (2 * len(days))
        if position < len(days):
            return days[position]
        candle = days[2 * len(days) - 1 - position]
        return Candle(candle.close, candle.high, candle.low, candle.open)

    def _path_of(self, series: str, session: Session) -> DayPath:
        # Drawn up to the scheduled close: a closure must not change what was traded before it.
        return self._path(series, session.day, (session.scheduled_close - session.opens) // SECOND)

    def _draw_path(self, series: str, day: date, seconds: int) -> DayPath:
        return DayPath(f"{series} {day.isoformat()}", self._whole_day(series, day), seconds)


def _listing(row: dict[str, str]) -> Listing:
    return Listing(row["stockTicker"], row["name"], row["exchange"], row["industry"], series=row["stockTicker"])


def _places(rows: list[dict[str, str]]) -> dict[str, tuple[int, int]]:
    """Where the prices of each series begin, and how many days it has."""
    places, offset = {}, 0
    for row in rows:
        days = int(row["days"])
        places[row["stockTicker"]] = (offset, days)
        offset += 4 * days  # open, close, high and low
    return places


def _read_prices() -> array[int]:
    prices = array("i")
    prices.frombytes(lzma.decompress((DATA / "prices.xz").read_bytes()))
    if sys.byteorder == "big":
        prices.byteswap()
    return prices


def _scaled(price: int, split_factor: Fraction) -> int:
    """A price in shares of the beginning as one in shares after the splits, rounded to its tick, and never zero."""
    if split_factor == 1:
        return price
    exact = price / split_factor
    tick = CENT if exact >= DOLLAR else 1
    return max(1, round(exact / tick) * tick)


def _scaled_candle(candle: Candle, split_factor: Fraction) -> Candle:
    return Candle(*(_scaled(price, split_factor) for price in candle))
