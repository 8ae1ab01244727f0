"""Compute how many shares of a stock trade in a session, because the real days have no volumes."""

from __future__ import annotations

from datetime import date
from itertools import accumulate

from exchange.simulator.day_path import Candle, seed_of, uniform
from exchange.simulator.formats import UNITS_PER_DOLLAR

# The turnover on an ordinary day, in USD: the minimum, and how much higher it can be.
DOLLARS_MIN = 40_000_000
DOLLARS_SPREAD = 3_000_000_000

# How many times more the stocks of the largest companies trade.
LARGEST_TIMES = 5

# How many intervals a session has. They are busier at its beginning and end, and vary from day to day.
INTERVALS = 128


class DayVolume:
    """One session's volume, second by second, in shares before any split."""

    __slots__ = ("_seconds", "_seed", "_totals", "whole_day")

    def __init__(self, series: str, day: date, candle: Candle, seconds: int, *, largest: bool) -> None:
        # How busy a stock is doesn't depend on the day. It is cubed, so that few stocks are busy and many are quiet.
        dollars = DOLLARS_MIN + DOLLARS_SPREAD * uniform(seed_of(series), 0) ** 3
        swing = (candle.high - candle.low) / candle.close
        self._seed = seed_of(f"{series} {day.isoformat()} volume")
        busy = (0.6 + 0.8 * uniform(self._seed, INTERVALS)) * (0.7 + 15.0 * swing) * (LARGEST_TIMES if largest else 1)
        self._seconds = seconds
        self._totals: list[int] = []
        self.whole_day = round(dollars * busy * UNITS_PER_DOLLAR / candle.close)

    def until(self, second: int) -> int:
        """Return the number of shares traded up to this many seconds after the open."""
        if second >= self._seconds:
            return self.whole_day
        if second <= 0:
            return 0
        if not self._totals:
            weights = [(_share_until(n + 1) - _share_until(n)) * self._activity(n) for n in range(INTERVALS)]
            total = sum(weights)
            self._totals = [0, *(round(self.whole_day * part / total) for part in accumulate(weights))]
        interval, remainder = divmod(second * INTERVALS, self._seconds)
        before, after = self._totals[interval], self._totals[interval + 1]
        return before + (after - before) * remainder // self._seconds

    def _activity(self, interval: int) -> float:
        return 0.4 + uniform(self._seed, interval)


def _share_until(interval: int) -> float:
    """Return the fraction of a day's volume that has traded after this many intervals: most of it early or late."""
    position = interval / INTERVALS
    return 0.5 * position + 2.0 * (position - 0.5) ** 3 + 0.25
