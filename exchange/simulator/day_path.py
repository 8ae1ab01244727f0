"""Compute one session's price, second by second, through its real open, high, low and close.

Between these, the price is a Brownian bridge whose random numbers are a hash of stock, day and second. So the price of
any second can be computed on its own, and is the same on every machine.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from itertools import accumulate, pairwise
from math import sqrt
from typing import NamedTuple

# Prices from a dollar up are whole cents. Lower ones have four decimals.
CENT = 100
DOLLAR = 10_000

# How often each of the up to three segments of a path is halved for its outline: 32 points per segment.
OUTLINE_HALVINGS = 5

# About how many points of the path determine the high and the low of a period.
POINTS_PER_PERIOD = 4

# About how many computed points of a path are cached. Most other points are computed from these.
POINTS_CACHED = 256

_MASK = (1 << 64) - 1


class Candle(NamedTuple):
    """Open, high, low and close, in units of 1/10,000 USD."""

    open: int
    high: int
    low: int
    close: int


class Outline(NamedTuple):
    """Points of a path in order of time, each with the highest and the lowest price so far."""

    seconds: array[int]
    highs: array[int]
    lows: array[int]


class DayPath:
    """One session's price, second by second."""

    __slots__ = ("_candle", "_drawn", "_latest", "_outline", "_seconds", "_seed", "_volatility", "anchors")

    def __init__(self, seed: str, candle: Candle, seconds: int) -> None:
        self._seed = seed_of(seed)
        self._candle = candle
        self._seconds = seconds
        # The range of a Brownian motion over a day is about 1.6 times its standard deviation over that day.
        self._volatility = (candle.high - candle.low) / 1.6 / sqrt(seconds)
        anchors = {0: candle.open, seconds: candle.close}
        for salt, price in ((1, candle.high), (2, candle.low)):
            if price not in (candle.open, candle.close):
                second = int(seconds * (0.02 + 0.96 * uniform(self._seed, salt)))
                while second in anchors:
                    second += 1
                anchors[second] = price
        self.anchors = sorted(anchors.items())
        self._outline: Outline | None = None
        self._drawn: dict[int, float] = {}
        self._latest = (0, candle.open)

    def at(self, second: int) -> int:
        """Return the price this many seconds after the open, in units of 1/10,000 USD."""
        left, left_anchor = self.anchors[0]
        right, right_anchor = self.anchors[-1]
        for at, price in self.anchors:
            if at == second:
                return price
            if at < second:
                left, left_anchor = at, price
            else:
                right, right_anchor = at, price
                break
        left_price, right_price = float(left_anchor), float(right_anchor)
        while right - left > 1:
            middle = (left + right) // 2
            value = self._between(left, left_price, right, right_price)
            if second < middle:
                right, right_price = middle, value
            else:
                left, left_price = middle, value
                if second == middle:
                    break
        # The last trade bounces between bid and ask, so that quiet stocks move too.
        bounce = (uniform(self._seed, second + 1_000_003) - 0.5) * (1.4 * CENT + left_price * 0.0002)
        return self._rounded(left_price + bounce)

    def until(self, second: int) -> Candle:
        """Return open, high, low and last price up to this many seconds after the open."""
        if second >= self._seconds:
            return self._candle
        outline, last = self._drawn_outline(), self.at(second)
        point = bisect_right(outline.seconds, second) - 1
        return Candle(self._candle.open, max(outline.highs[point], last), min(outline.lows[point], last), last)

    def between(self, first: int, end: int) -> list[int]:
        """Return the prices at two seconds and at some points of the path between them, in order of time."""
        prices: list[int] = []
        for (left, left_price), (right, right_price) in pairwise(self.anchors):
            self._add_inside(prices, (left, float(left_price)), (right, float(right_price)), first, end)
            if first < right < end:
                prices.append(right_price)
        opening, closing = self.ends(first, end)
        return [opening, *prices, closing]

    def ends(self, first: int, end: int) -> tuple[int, int]:
        """Return the prices at two seconds."""
        # A period mostly begins where the last one ended.
        second, price = self._latest
        opening = price if second == first else self.at(first)
        closing = self.at(end)
        self._latest = (end, closing)
        return opening, closing

    def _add_inside(
        self, prices: list[int], left: tuple[int, float], right: tuple[int, float], first: int, end: int
    ) -> None:
        if left[0] >= end or right[0] <= first or right[0] - left[0] <= max(1, (end - first) // POINTS_PER_PERIOD):
            return
        middle = ((left[0] + right[0]) // 2, self._between(*left, *right))
        self._add_inside(prices, left, middle, first, end)
        if first < middle[0] < end:
            prices.append(self._rounded(middle[1]))
        self._add_inside(prices, middle, right, first, end)

    def _drawn_outline(self) -> Outline:
        if self._outline is None:
            points = [self.anchors[0]]
            for (left, left_price), (right, right_price) in pairwise(self.anchors):
                self._add_points(points, (left, float(left_price)), (right, float(right_price)), OUTLINE_HALVINGS)
                points.append((right, right_price))
            prices = [price for _, price in points]
            highs, lows = array("q", accumulate(prices, max)), array("q", accumulate(prices, min))
            self._outline = Outline(array("q", (second for second, _ in points)), highs, lows)
        return self._outline

    def _add_points(
        self, points: list[tuple[int, int]], left: tuple[int, float], right: tuple[int, float], halvings: int
    ) -> None:
        if halvings and right[0] - left[0] > 1:
            middle = ((left[0] + right[0]) // 2, self._between(*left, *right))
            self._add_points(points, left, middle, halvings - 1)
            points.append((middle[0], self._rounded(middle[1])))
            self._add_points(points, middle, right, halvings - 1)

    def _between(self, left: int, left_price: float, right: int, right_price: float) -> float:
        """Return the path halfway between two of its points, which are the same two for each second."""
        middle = (left + right) // 2
        if (known := self._drawn.get(middle)) is not None:
            return known
        middle_price = self._drawn_between(left, left_price, right, right_price)
        if right - left > self._seconds // POINTS_CACHED:
            self._drawn[middle] = middle_price
        return middle_price

    def _drawn_between(self, left: int, left_price: float, right: int, right_price: float) -> float:
        middle = (left + right) // 2
        span = right - left
        bits = random_bits(self._seed, middle)
        # The sum of four uniform numbers is nearly normal, and the same on every machine.
        normal = ((bits & 65535) + (bits >> 16 & 65535) + (bits >> 32 & 65535) + (bits >> 48) - 131070) / 37837.0
        value = left_price + (right_price - left_price) * (middle - left) / span
        value += self._volatility * sqrt((middle - left) * (right - middle) / span) * normal
        # A value outside the day's range is reflected back into it.
        low, high = self._candle.low, self._candle.high
        if value > high:
            return max(2.0 * high - value, low)
        if value < low:
            return min(2.0 * low - value, high)
        return value

    def _rounded(self, price: float) -> int:
        tick = CENT if self._candle.low >= DOLLAR else 1
        return min(self._candle.high, max(self._candle.low, round(price / tick) * tick))


def seed_of(text: str) -> int:
    """Return the seed for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def uniform(seed: int, position: int) -> float:
    """Return the random number of a position, uniformly distributed from 0 to 1."""
    return random_bits(seed, position) / _MASK


def random_bits(seed: int, position: int) -> int:
    """Return the 64 random bits of a position (the finalizer of SplitMix64)."""
    bits = (seed + position * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
