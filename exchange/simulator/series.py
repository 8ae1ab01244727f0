"""The real days behind the prices, read forwards and backwards without end."""

from __future__ import annotations

import lzma
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path

from exchange.simulator.day_path import CENT, Candle

# Only the largest companies have series of this many days.
LARGEST_DAYS_MIN = 1000


class Series:
    """One stock's real days, forwards and then backwards, so that no price jumps where the series repeats.

    Days are numbered from the first real day, which is 0.
    """

    def __init__(self, opens: Sequence[int], closes: Sequence[int], highs: Sequence[int], lows: Sequence[int]) -> None:
        """Build a series from its columns in `prices.xz`. Their format is described in `data/convert.py`."""
        closing = list(accumulate(map(sum, zip(opens, closes, strict=True))))
        opening = [close - change for close, change in zip(closing, closes, strict=True)]
        highest = [max(day) + more for *day, more in zip(opening, closing, highs, strict=True)]
        lowest = [min(day) - more for *day, more in zip(opening, closing, lows, strict=True)]
        self.is_of_largest = len(opens) >= LARGEST_DAYS_MIN
        self.length = 2 * len(opens)
        self._opens = array("i", opening + closing[::-1])
        self._closes = array("i", closing + opening[::-1])
        self._highs = array("i", highest + highest[::-1])
        self._lows = array("i", lowest + lowest[::-1])

    def day(self, number: int) -> Candle:
        """Return the open, high, low and close of a day."""
        at = number % self.length
        return Candle(self._opens[at] * CENT, self._highs[at] * CENT, self._lows[at] * CENT, self._closes[at] * CENT)

    def extremes(self, numbers: Iterable[int]) -> tuple[int, int]:
        """Return the highest and the lowest price of these days."""
        places = [number % self.length for number in numbers]
        highest, lowest = max(map(self._highs.__getitem__, places)), min(map(self._lows.__getitem__, places))
        return highest * CENT, lowest * CENT


def read_series(path: Path, days: dict[str, int]) -> dict[str, Series]:
    """Read the series of a file. `days` has their names and numbers of days, in the order of the file."""
    columns = array("i")
    columns.frombytes(lzma.decompress(path.read_bytes()))
    if sys.byteorder == "big":
        columns.byteswap()
    series, offset = {}, 0
    for name, count in days.items():
        series[name] = Series(*(columns[offset + n * count : offset + (n + 1) * count] for n in range(4)))
        offset += 4 * count
    return series
