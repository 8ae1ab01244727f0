"""Price history for charts: many stocks with one call to the exchange, and past prices from the shared cache.

A period is read in blocks that begin at fixed times, whatever the chart. A block that lies in the past stays as it is;
the current block is read again when another step has passed, or a quarter of an hour. All missing blocks are read
together. The sweep reads those of the usual charts ahead of the pages (`refresh`). While the exchange is unavailable,
older blocks are shown.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from django.core.cache import cache
from django.utils import timezone

from exchange import calendar, gateway
from exchange.prices import none_if_unavailable

BLOCK_STEPS = 32  # steps in a block: about a third of a chart, so that few prices are read that it does not show
HISTORY_SECONDS_MAX = 60  # how long after a step its price may still be missing from a chart
CURRENT_SECONDS_MAX = 900  # how long the current block of a chart with longer steps is up to date
KEPT_SECONDS = 86_400  # how long a block is cached
PARSED_MAX = 4096  # blocks that a process keeps ready to use, about 5 kB each
REFRESHED_TOGETHER = 40  # stocks in one call of the sweep, so that the exchange is never busy with it for long
NEVER_STALE = float("inf")

# A cached price: the beginning of a bar (epoch seconds) and its first price; at the end, the last bar's end and price.
Row = tuple[int, str]
# A cached block: until when it is up to date (epoch seconds), and its prices.
Rows = tuple[float, list[Row]]


class Point(NamedTuple):
    """The price of a stock at a moment."""

    at: datetime
    price: Decimal


class _Block(NamedTuple):
    begins: int
    ends: int


# By key: blocks as they are used. A block is replaced when it is no longer up to date.
_parsed: dict[str, tuple[float, list[Point]]] = {}
# By the seconds of a step and the number of a batch of stocks: the day and the number of the step when `refresh` last
# read that batch.
_refreshed: dict[tuple[int, int], tuple[date, int]] = {}


def histories(
    tickers: Iterable[str], start: datetime, step_seconds: int, end: datetime | None = None
) -> dict[str, list[Point]]:
    """Return prices from start to end, or to now, by ticker, in order of time.

    There is a price at each multiple of the step while the market was open, and the last price. A stock is omitted if
    no price is known: it is not listed, or the exchange is unavailable.
    """
    first, blocks = _blocks(start, end, step_seconds)
    begin = datetime.fromtimestamp(first, UTC)
    points_by_ticker: dict[str, list[Point]] = {}
    for ticker, parts in _read(blocks, sorted(set(tickers)), step_seconds).items():
        points: list[Point] = []
        for part in parts:
            points = [*points[:-1], *part] if _are_adjacent(points, part) else [*points, *part]
        if points:
            points_by_ticker[ticker] = [point for point in points if point.at >= begin]
    return points_by_ticker


def history(ticker: str, start: datetime, step_seconds: int, end: datetime | None = None) -> list[Point]:
    """Return the prices of one stock, as `histories` does; empty if none is known."""
    return histories([ticker], start, step_seconds, end).get(ticker, [])


def refresh(
    tickers: Iterable[str],
    start: datetime,
    step_seconds: int,
    end: datetime | None = None,
    batches_max: int | None = None,
) -> None:
    """Read those blocks of a period again that will soon be out of date, so that no page has to wait for them.

    Idempotent: what another sweep has read is not read again.

    Args:
        tickers: The stocks.
        start: The beginning of the period.
        step_seconds: The time between two prices.
        end: The end of the period; None: now.
        batches_max: How many batches of REFRESHED_TOGETHER stocks to read at most; the next call goes on from there.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    # The keys of blocks begin anew each day.
    current = calendar.today(), int(time.time()) // min(step_seconds, CURRENT_SECONDS_MAX)
    _, blocks = _blocks(start, end, step_seconds)
    names = sorted(set(tickers))
    batches = range(0, len(names), REFRESHED_TOGETHER)
    outdated = [number for number in batches if _refreshed.get((step_seconds, number)) != current]
    for number in outdated[:batches_max]:
        keys = _keys(blocks, names[number : number + REFRESHED_TOGETHER], step_seconds)
        cached: dict[str, Rows] = cache.get_many(keys.values())
        soon = time.time() + HISTORY_SECONDS_MAX
        missing = [place for place, key in keys.items() if key not in cached or cached[key][0] < soon]
        if missing:
            _store(keys, _ask(missing, step_seconds), step_seconds)
        _refreshed[step_seconds, number] = current


def _are_adjacent(before: list[Point], after: list[Point]) -> bool:
    """Return whether two blocks are adjacent, so that the last price of one is also the first of the next."""
    return bool(before and after) and before[-1].at >= after[0].at


def _blocks(start: datetime, end: datetime | None, step_seconds: int) -> tuple[int, list[_Block]]:
    """Return when the first step of a period begins (epoch seconds), and the blocks that cover it; none is empty."""
    first = int(start.timestamp()) // step_seconds * step_seconds
    now = int(timezone.now().timestamp())
    last = now if end is None else min(now, int(end.timestamp()))
    length = BLOCK_STEPS * step_seconds
    begins = range(first // length * length, max(last, first + 1), length)
    blocks = [_Block(begin, min(begin + length, now)) for begin in begins]
    return first, [block for block in blocks if block.begins < block.ends]


Place = tuple[str, _Block]  # a ticker and a block


def _keys(blocks: list[_Block], tickers: list[str], step_seconds: int) -> dict[Place, str]:
    # Keys have the date, because prices are adjusted for splits up to the day on which they are read.
    prefix = f"bars:{calendar.today():%y%m%d}:{step_seconds}"
    return {(ticker, block): f"{prefix}:{ticker}:{block.begins}" for ticker in tickers for block in blocks}


def _read(blocks: list[_Block], tickers: list[str], step_seconds: int) -> dict[str, list[list[Point]]]:
    """Return the prices of each block by ticker, from a cache or else from the exchange; empty if there are none."""
    keys, now = _keys(blocks, tickers, step_seconds), time.time()
    found = {place: parsed for place, key in keys.items() if (parsed := _parsed.get(key))}
    if old := {place: keys[place] for place in keys if place not in found or found[place][0] <= now}:
        shared: dict[str, Rows] = cache.get_many(old.values())
        found |= _parse({place: (key, shared[key]) for place, key in old.items() if key in shared})
        if missing := [place for place in old if place not in found or found[place][0] <= now]:
            answer = none_if_unavailable(lambda: _ask(missing, step_seconds))
            found |= _parse(_store(keys, answer or {}, step_seconds))
    empty: tuple[float, list[Point]] = (0.0, [])
    return {ticker: [found.get((ticker, block), empty)[1] for block in blocks] for ticker in tickers}


def _parse(rows: dict[Place, tuple[str, Rows]]) -> dict[Place, tuple[float, list[Point]]]:
    """Return blocks ready to use, given as key and rows, and keep them."""
    moments: dict[int, datetime] = {}  # mostly the same ones for all stocks
    found = {}
    if len(_parsed) + len(rows) > PARSED_MAX:
        _parsed.clear()
    for place, (key, (fresh_until, prices)) in rows.items():
        points = []
        for at, price in prices:
            if at not in moments:
                moments[at] = datetime.fromtimestamp(at, UTC)
            points.append(Point(moments[at], Decimal(price)))
        found[place] = _parsed[key] = (fresh_until, points)
    return found


def _store(keys: dict[Place, str], answer: dict[Place, list[Row]], step_seconds: int) -> dict[Place, tuple[str, Rows]]:
    """Put the rows of blocks into the shared cache; return them by ticker and block, each with its key."""
    new = {place: (keys[place], (_fresh_until(place[1], step_seconds), rows)) for place, rows in answer.items()}
    if new:
        cache.set_many(dict(new.values()), timeout=KEPT_SECONDS)
    return new


def _fresh_until(block: _Block, step_seconds: int) -> float:
    """Return until when a block that was just read is up to date: if it has not ended, a little after the next step.

    A step of a day is not waited for: the session that begins within it has a price at once.
    """
    if block.ends == block.begins + BLOCK_STEPS * step_seconds:
        return NEVER_STALE
    if step_seconds <= HISTORY_SECONDS_MAX:
        return block.ends + step_seconds
    step_seconds = min(step_seconds, CURRENT_SECONDS_MAX)
    return (block.ends // step_seconds + 1) * step_seconds + HISTORY_SECONDS_MAX


def _ask(missing: list[Place], step_seconds: int) -> dict[Place, list[Row]]:
    """Read the rows of blocks from the exchange.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    begins, ends = min(block.begins for _, block in missing), max(block.ends for _, block in missing)
    period = datetime.fromtimestamp(begins, UTC), datetime.fromtimestamp(ends, UTC)
    answer = gateway.bars_of_many(sorted({ticker for ticker, _ in missing}), *period, step_seconds)
    length = BLOCK_STEPS * step_seconds
    bars: dict[tuple[str, int], list[gateway.FirstAndLast]] = defaultdict(list)
    for ticker, of_ticker in answer.items():
        for bar in of_ticker:
            bars[ticker, int(bar.at.timestamp()) // length * length].append(bar)
    return {(ticker, block): _rows(bars[ticker, block.begins], block, step_seconds) for ticker, block in missing}


def _rows(bars: list[gateway.FirstAndLast], block: _Block, step_seconds: int) -> list[Row]:
    if not bars:
        return []
    rows = [(int(bar.at.timestamp()), str(bar.open)) for bar in bars]
    return [*rows, (min(rows[-1][0] + step_seconds, block.ends), str(bars[-1].close))]


def closes(tickers: Iterable[str], start: datetime, step_seconds: int) -> dict[str, list[Point]]:
    """Return the last price of each step from start to now, at the end of the step, by ticker and in order of time.

    Steps in which the market was closed are omitted. A list is empty if no price is known: the stock is not listed, or
    the exchange is unavailable.
    """
    begin = int(start.timestamp()) // step_seconds * step_seconds
    keys = {ticker: f"closes:{ticker}:{begin}:{step_seconds}" for ticker in tickers}
    cached: dict[str, list[Point]] = cache.get_many(keys.values()) if keys else {}
    found = {ticker: cached.get(key) for ticker, key in keys.items()}
    for ticker in [ticker for ticker, points in found.items() if points is None]:
        found[ticker] = points = _read_closes(ticker, datetime.fromtimestamp(begin, UTC), step_seconds)
        if points is not None:
            cache.set(keys[ticker], points, min(step_seconds, HISTORY_SECONDS_MAX))
    return {ticker: points or [] for ticker, points in found.items()}


def _read_closes(ticker: str, begin: datetime, step_seconds: int) -> list[Point] | None:
    """Return what `closes` does, from the exchange; None if there was no answer."""
    step = timedelta(seconds=step_seconds)
    points: list[Point] = []
    while begin < timezone.now():
        try:
            bars = none_if_unavailable(partial(gateway.bars, ticker, begin, timezone.now(), step_seconds))
        except gateway.NotListed:
            return None
        if bars is None:
            return None
        if not bars:
            break
        points += [Point(min(bar["at"] + step, timezone.now()), bar["close"]) for bar in bars]
        begin = bars[-1]["at"] + step
    return points


def forget() -> None:
    """Drop this process's copies, so that the next access reads the shared cache."""
    _parsed.clear()
    _refreshed.clear()


def price_at(points: Sequence[Point], moments: Iterable[datetime]) -> list[Decimal | None]:
    """Return the price at each moment, in order of time: the last one before it, or the first one if there is none."""
    prices: list[Decimal | None] = []
    following = 0
    for moment in moments:
        while following < len(points) and points[following].at <= moment:
            following += 1
        prices.append(points[max(following - 1, 0)].price if points else None)
    return prices
