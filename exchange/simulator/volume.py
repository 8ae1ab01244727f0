"""Draw how many shares of a stock trade in a session. The real days behind the prices come without volumes."""

from __future__ import annotations

from datetime import date
from itertools import accumulate

from exchange.simulator.day_path import Candle, seed_of, uniform
from exchange.simulator.formats import UNITS_PER_DOLLAR

# USD that change hands on an ordinary day: the least, and how much more it can be.
DOLLARS_LEAST = 40_000_000
DOLLARS_MORE = 3_000_000_000

# The stocks with the longest series are those of the largest companies, and trade so much more.
LARGEST_TIMES = 5

# Pieces of a session, busier at its beginning and end, each a little different every day.
PIECES = 128


class DayVolume:
    """One session's volume, second by second, in shares of the beginning."""

    __slots__ = ("_seconds", "_seed", "_totals", "whole_day")

    def __init__(self, series: str, day: date, candle: Candle, seconds: int, *, largest: bool) -> None:
        # A stock is as busy every day; cubed, so that few stocks are busy and many are quiet.
        dollars = DOLLARS_LEAST + DOLLARS_MORE * uniform(seed_of(series), 0) ** 3
        swing = (candle.high - candle.low) / candle.close
        self._seed = seed_of(f"{series} {day.isoformat()} volume")
        busy = (0.6 + 0.8 * uniform(self._seed, PIECES)) * (0.7 + 15.0 * swing) * (LARGEST_TIMES if largest else 1)
        self._seconds = seconds
        self._totals: list[int] = []
        self.whole_day = round(dollars * busy * UNITS_PER_DOLLAR / candle.close)

    def until(self, second: int) -> int:
        """Shares traded up to that many seconds from the opening."""
        if second >= self._seconds:
            return self.whole_day
        if second <= 0:
            return 0
        if not self._totals:
            weights = [(_share_until(n + 1) - _share_until(n)) * (0.4 + uniform(self._seed, n)) for n in range(PIECES)]
            whole = sum(weights)
            self._totals = [0, *(round(self.whole_day * part / whole) for part in accumulate(weights))]
        piece, rest = divmod(second * PIECES, self._seconds)
        before, after = self._totals[piece], self._totals[piece + 1]
        return before + (after - before) * rest // self._seconds


def _share_until(piece: int) -> float:
    """The part of an ordinary day's volume that has traded after so many pieces: most of it early and late."""
    place = piece / PIECES
    return 0.5 * place + 2.0 * (place - 0.5) ** 3 + 0.25
