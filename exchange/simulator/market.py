"""What is listed and what it costs: a pure function of ticker and moment, so that quotes, charts and fills agree.

Each day's path leads through a real day's open, high, low and close, drawn between them as a Brownian bridge whose
dice are a hash of ticker, day and place, so that any second of any day is computed by itself, alike on every machine.
Real days are walked forwards, then backwards, so that there is no jump where a series ends.
"""

from __future__ import annotations

import csv
import hashlib
import lzma
import sys
from array import array
from datetime import date, timedelta
from functools import lru_cache
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from exchange.simulator.calendar import Hours, Session
from exchange.simulator.notation import SECOND

DATA = Path(__file__).parent / "data"

#: On this day every series stands at its first real day.
SERIES_STARTS = date(2020, 1, 6)

#: Prices of a dollar and more are whole cents; lower ones have four digits.
CENT = 100
DOLLAR = 10_000

#: Prices asked for at most for one chart, whatever its number of bars.
CHART_SAMPLES_MAX = 3000

_MASK = (1 << 64) - 1


class Listing(NamedTuple):
    """A company whose shares trade here."""

    ticker: str
    name: str
    exchange: str
    industry: str


class Candle(NamedTuple):
    """Open, high, low and close, in units of 1/10,000 USD."""

    open: int
    high: int
    low: int
    close: int


class Bar(NamedTuple):
    """The prices of a period of time that starts at `at`."""

    at: int
    open: int
    high: int
    low: int
    close: int


class Market:
    """Every listed ticker's price at any moment. Reading it changes nothing; the same question has the same answer."""

    def __init__(self, hours: Hours) -> None:
        self.hours = hours
        self.listings: dict[str, Listing] = {}
        self._place: dict[str, tuple[int, int]] = {}
        offset = 0
        with open(DATA / "listings.csv", newline="", encoding="utf-8") as text:
            for row in csv.DictReader(text):
                ticker, days = row["stockTicker"], int(row["days"])
                self.listings[ticker] = Listing(ticker, row["name"], row["exchange"], row["industry"])
                self._place[ticker] = (offset, days)
                offset += 4 * days
        self._prices = array("i")
        self._prices.frombytes(lzma.decompress((DATA / "prices.xz").read_bytes()))
        if sys.byteorder == "big":
            self._prices.byteswap()
        self._start = hours.series_day(SERIES_STARTS)
        # Bounded caches of pure functions.
        self._series = lru_cache(maxsize=1024)(self._unpack_series)
        self._day = lru_cache(maxsize=16384)(self._draw_day)
        self._path = lru_cache(maxsize=4096)(self._draw_path)
        self._latest: dict[str, tuple[int, int]] = {}

    def price(self, ticker: str, moment: int) -> int:
        """The price of one share at that moment, constant within a second; when closed, the last close.

        Raises KeyError for a ticker that is not listed.
        """
        second = moment // SECOND
        latest = self._latest.get(ticker)
        if latest is not None and latest[0] == second:
            return latest[1]
        session = self.session_at(moment)
        if moment >= session.closes:
            price = self.candle(ticker, session).close
        else:
            price = self._path(ticker, session).at((second * SECOND - session.opens) // SECOND)
        self._latest[ticker] = (second, price)
        return price

    def session_at(self, moment: int) -> Session:
        """The session that a moment is in or, when closed, the one before it."""
        day = self.hours.day_of(moment)
        session = self.hours.session(day)
        while session is None or session.opens > moment:
            day -= timedelta(days=1)
            session = self.hours.session(day)
        return session

    def candle(self, ticker: str, session: Session) -> Candle:
        """Open, high, low and close of a whole session. Raises KeyError for a ticker that is not listed."""
        return self._day(ticker, self.hours.series_day(session.day))

    def previous_close(self, ticker: str, moment: int) -> int:
        """The close of the session before the one that the moment is in, or was last in."""
        before = self.session_at(self.session_at(moment).opens - 1)
        return self.candle(ticker, before).close

    def bars(self, ticker: str, start: int, end: int, step: int) -> list[Bar]:
        """Bars of `step` microseconds from `start` up to `end`; periods in which the market is closed are left out.

        Open and close are exact, and so are high and low of whole sessions; of parts of one, high and low are those of
        evenly spaced samples. Raises KeyError for a ticker that is not listed.
        """
        if ticker not in self.listings:
            raise KeyError(ticker)
        count = max(1, -(-(end - start) // step))
        samples = max(2, min(16, CHART_SAMPLES_MAX // count))
        found = []
        for at in range(start, end, step):
            until = min(at + step, end)
            traded = self._traded(ticker, at, until, samples)
            if traded:
                found.append(Bar(at, traded[0], max(traded), min(traded), traded[-1]))
        return found

    def _traded(self, ticker: str, at: int, until: int, samples: int) -> list[int]:
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
                candle = self.candle(ticker, session)
                prices += (candle.open, candle.high, candle.low, candle.close)
            else:
                path = self._path(ticker, session)
                begin, length = (first - session.opens) // SECOND, (end - first) // SECOND
                prices += (path.at(begin + length * n // samples) for n in range(samples + 1))
        return prices

    def _unpack_series(self, ticker: str) -> list[Candle]:
        offset, days = self._place[ticker]
        opens, closes, highs, lows = (self._prices[offset + n * days : offset + (n + 1) * days] for n in range(4))
        last, series = 0, []
        for n in range(days):
            open_ = last + opens[n]
            last = open_ + closes[n]
            high, low = max(open_, last) + highs[n], min(open_, last) - lows[n]
            series.append(Candle(open_ * CENT, high * CENT, low * CENT, last * CENT))
        return series

    def _draw_day(self, ticker: str, number: int) -> Candle:
        """A day's prices. Where the market never closes, a day opens at the close before it, whatever the gap was."""
        candle = self._real_day(ticker, number)
        if self.hours.name != "always":
            return candle
        open_ = self._real_day(ticker, number - 1).close
        return Candle(open_, max(open_, candle.high), min(open_, candle.low), candle.close)

    def _real_day(self, ticker: str, number: int) -> Candle:
        series = self._series(ticker)
        position = (number - self._start) % (2 * len(series))
        if position < len(series):
            return series[position]
        candle = series[2 * len(series) - 1 - position]
        return Candle(candle.close, candle.high, candle.low, candle.open)

    def _draw_path(self, ticker: str, session: Session) -> DayPath:
        seed = f"{ticker} {session.day.isoformat()}"
        return DayPath(seed, self.candle(ticker, session), (session.closes - session.opens) // SECOND)


class DayPath:
    """One session's price, second by second."""

    __slots__ = ("_anchors", "_candle", "_seconds", "_seed", "_volatility")

    def __init__(self, seed: str, candle: Candle, seconds: int) -> None:
        self._seed = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big")
        self._candle = candle
        self._seconds = seconds
        # A Brownian motion's range over a day is about 1.6 of its deviation over that day.
        self._volatility = (candle.high - candle.low) / 1.6 / sqrt(seconds)
        anchors = {0: candle.open, seconds: candle.close}
        for salt, price in ((1, candle.high), (2, candle.low)):
            if price not in (candle.open, candle.close):
                at = int(seconds * (0.02 + 0.96 * _dice(self._seed, salt) / _MASK))
                while at in anchors:
                    at += 1
                anchors[at] = price
        self._anchors = sorted(anchors.items())

    def at(self, second: int) -> int:
        """The price at that many seconds from the opening, in units of 1/10,000 USD."""
        left, price_left = self._anchors[0]
        right, price_right = self._anchors[-1]
        for at, price in self._anchors:
            if at == second:
                return price
            if at < second:
                left, price_left = at, price
            else:
                right, price_right = at, price
                break
        low, high = self._candle.low, self._candle.high
        a, b = float(price_left), float(price_right)
        while right - left > 1:
            middle = (left + right) // 2
            span = right - left
            dice = _dice(self._seed, middle)
            # The sum of four even dice is close to normal, and the same on every machine.
            normal = ((dice & 65535) + (dice >> 16 & 65535) + (dice >> 32 & 65535) + (dice >> 48) - 131070) / 37837.0
            value = a + (b - a) * (middle - left) / span
            value += self._volatility * sqrt((middle - left) * (right - middle) / span) * normal
            # What would leave the day's range is folded back into it.
            if value > high:
                value = max(2.0 * high - value, low)
            elif value < low:
                value = min(2.0 * low - value, high)
            if second < middle:
                right, b = middle, value
            else:
                left, a = middle, value
                if second == middle:
                    break
        # The last trade bounces between bid and ask, so that quiet shares move too.
        bounce = (_dice(self._seed, second + 1_000_003) / _MASK - 0.5) * (1.4 * CENT + a * 0.0002)
        tick = CENT if low >= DOLLAR else 1
        return min(high, max(low, round((a + bounce) / tick) * tick))


def _dice(seed: int, place: int) -> int:
    """64 even bits for a place (the finalizer of SplitMix64)."""
    z = (seed + place * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
