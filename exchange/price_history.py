"""Prices over time, for charts: many stocks with one call to the exchange, and what is past kept in the shared cache.

A stretch of time is read in blocks that begin at fixed times, whatever the chart. A block that has ended is kept for a
day; the one that has not is read again after HISTORY_SECONDS_MAX at most.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from django.core.cache import cache
from django.utils import timezone

from exchange import calendar, gateway
from exchange.prices import unless_away

BLOCK_STEPS = 96  # of one block: a chart has about as many points, so it needs two blocks at most
HISTORY_SECONDS_MAX = 60  # how old the newest part of a chart may be
KEPT_SECONDS = 86_400  # how long a block that has ended is kept

# As it is cached: when a bar begins (epoch seconds), and its first price; after the last bar, its end and last price.
Row = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Point:
    """The price of a stock at a moment."""

    at: datetime
    price: Decimal


class _Block(NamedTuple):
    begins: int
    ends: int
    seconds_kept: int

    def key(self, ticker: str, step_seconds: int) -> str:
        # Prices are in the shares of the day on which they are read: a split divides those of the past.
        return f"bars:{calendar.today():%y%m%d}:{ticker}:{step_seconds}:{self.begins}"


def histories(tickers: Iterable[str], start: datetime, step_seconds: int) -> dict[str, list[Point]]:
    """Return prices from start to now by ticker, in order of time.

    There is a price at each multiple of the step while the market was open, and the last one. A stock is left out if
    nothing is known: it is not listed, or the exchange is away.
    """
    wanted = sorted(set(tickers))
    first = int(start.timestamp()) // step_seconds * step_seconds
    rows: dict[str, list[Row]] = {ticker: [] for ticker in wanted}
    for block in _blocks(first, step_seconds):
        for ticker, found in _read(block, wanted, step_seconds).items():
            if found:
                rows[ticker] = [*rows[ticker][:-1], *found] if _joins(rows[ticker], found) else rows[ticker] + found
    return {
        ticker: [Point(datetime.fromtimestamp(at, UTC), Decimal(price)) for at, price in found if at >= first]
        for ticker, found in rows.items()
        if found
    }


def history(ticker: str, start: datetime, step_seconds: int) -> list[Point]:
    """Return the prices of one stock, as `histories` does; empty if nothing is known."""
    return histories([ticker], start, step_seconds).get(ticker, [])


def _joins(before: list[Row], after: list[Row]) -> bool:
    """Return whether a block continues the one before it: the last price of one is then the first of the next."""
    return bool(before) and before[-1][0] >= after[0][0]


def _blocks(first: int, step_seconds: int) -> list[_Block]:
    now, length = int(timezone.now().timestamp()), BLOCK_STEPS * step_seconds
    blocks = []
    for begins in range(first // length * length, now + 1, length):
        has_ended = begins + length <= now
        kept = KEPT_SECONDS if has_ended else min(step_seconds, HISTORY_SECONDS_MAX)
        blocks.append(_Block(begins, min(begins + length, now), kept))
    return blocks


def _read(block: _Block, tickers: list[str], step_seconds: int) -> dict[str, list[Row]]:
    """Return the rows of a block by ticker, from the cache or else from the exchange; empty where there are none."""
    keys = {block.key(ticker, step_seconds): ticker for ticker in tickers}
    found: dict[str, list[Row]] = {keys[key]: rows for key, rows in cache.get_many(keys).items()}
    missing = [ticker for ticker in tickers if ticker not in found]
    if missing and block.begins < block.ends:
        begins, ends = (datetime.fromtimestamp(at, UTC) for at in (block.begins, block.ends))
        answer = unless_away(lambda: gateway.bars_of_many(missing, begins, ends, step_seconds))
        if answer is not None:
            new = {ticker: _rows(answer.get(ticker, []), block, step_seconds) for ticker in missing}
            cache.set_many(
                {block.key(ticker, step_seconds): rows for ticker, rows in new.items()}, timeout=block.seconds_kept
            )
            found |= new
    return found


def _rows(bars: list[gateway.FirstAndLast], block: _Block, step_seconds: int) -> list[Row]:
    if not bars:
        return []
    rows = [(int(bar.at.timestamp()), str(bar.open)) for bar in bars]
    return [*rows, (min(rows[-1][0] + step_seconds, block.ends), str(bars[-1].close))]


def closes(ticker: str, start: datetime, step_seconds: int) -> list[Point]:
    """Return the last price of each step from start to now, at the end of the step, in order of time.

    Steps in which the market was closed are left out. Empty where nothing is known: the stock is not listed, or the
    exchange is away.
    """
    step = timedelta(seconds=step_seconds)
    begin = datetime.fromtimestamp(int(start.timestamp()) // step_seconds * step_seconds, UTC)
    key = f"closes:{ticker}:{int(begin.timestamp())}:{step_seconds}"
    kept: list[Point] | None = cache.get(key)
    if kept is not None:
        return kept
    points: list[Point] = []
    while begin < timezone.now():
        try:
            bars = unless_away(partial(gateway.bars, ticker, begin, timezone.now(), step_seconds))
        except gateway.NotListed:
            return []
        if bars is None:
            return []
        if not bars:
            break
        points += [Point(min(bar["at"] + step, timezone.now()), bar["close"]) for bar in bars]
        begin = bars[-1]["at"] + step
    cache.set(key, points, min(step_seconds, HISTORY_SECONDS_MAX))
    return points


def price_at(points: Sequence[Point], moments: Iterable[datetime]) -> list[Decimal | None]:
    """Return the price at each moment, in order of time: the last one known then, or before any is, the first."""
    prices: list[Decimal | None] = []
    following = 0
    for moment in moments:
        while following < len(points) and points[following].at <= moment:
            following += 1
        prices.append(points[max(following - 1, 0)].price if points else None)
    return prices
