"""Price history for charts: many stocks with one call to the exchange, and past prices from the shared cache.

A period is read in blocks that begin at fixed times, whatever the chart. A block that lies in the past is cached for a
day; the current block is read again after at most HISTORY_SECONDS_MAX. All missing blocks are read with one call.
"""

from collections import defaultdict
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

BLOCK_STEPS = 32  # steps in a block: about a third of a chart, so that few prices are read that it does not show
HISTORY_SECONDS_MAX = 60  # how old the newest part of a chart may be
KEPT_SECONDS = 86_400  # how long a past block is cached

# A cached price: the beginning of a bar (epoch seconds) and its first price; at the end, the last bar's end and price.
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


def histories(
    tickers: Iterable[str], start: datetime, step_seconds: int, end: datetime | None = None
) -> dict[str, list[Point]]:
    """Return prices from start to end, or to now, by ticker, in order of time.

    There is a price at each multiple of the step while the market was open, and the last price. A stock is omitted if
    no price is known: it is not listed, or the exchange is unavailable.
    """
    first = int(start.timestamp()) // step_seconds * step_seconds
    now = int(timezone.now().timestamp())
    blocks = _blocks(first, now if end is None else min(now, int(end.timestamp())), now, step_seconds)
    found: dict[str, list[Point]] = {}
    for ticker, parts in _read(blocks, sorted(set(tickers)), step_seconds).items():
        rows: list[Row] = []
        for part in parts:
            rows = [*rows[:-1], *part] if _joins(rows, part) else [*rows, *part]
        if rows:
            found[ticker] = [
                Point(datetime.fromtimestamp(at, UTC), Decimal(price)) for at, price in rows if at >= first
            ]
    return found


def history(ticker: str, start: datetime, step_seconds: int, end: datetime | None = None) -> list[Point]:
    """Return the prices of one stock, as `histories` does; empty if none is known."""
    return histories([ticker], start, step_seconds, end).get(ticker, [])


def _joins(before: list[Row], after: list[Row]) -> bool:
    """Return whether two blocks are adjacent, so that the last price of one is also the first of the next."""
    return bool(before and after) and before[-1][0] >= after[0][0]


def _blocks(first: int, last: int, now: int, step_seconds: int) -> list[_Block]:
    """Return the blocks that cover the time from the first to the last moment; none is empty."""
    length = BLOCK_STEPS * step_seconds
    blocks = []
    for begins in range(first // length * length, max(last, first + 1), length):
        has_ended = begins + length <= now
        kept = KEPT_SECONDS if has_ended else min(step_seconds, HISTORY_SECONDS_MAX)
        blocks.append(_Block(begins, min(begins + length, now), kept))
    return [block for block in blocks if block.begins < block.ends]


def _read(blocks: list[_Block], tickers: list[str], step_seconds: int) -> dict[str, list[list[Row]]]:
    """Return the rows of each block by ticker, from the cache or else from the exchange; empty if there are none."""
    # Keys have the date, because prices are adjusted for splits up to the day on which they are read.
    day = f"{calendar.today():%y%m%d}"
    keys = {
        (ticker, block): f"bars:{day}:{ticker}:{step_seconds}:{block.begins}" for ticker in tickers for block in blocks
    }
    kept: dict[str, list[Row]] = cache.get_many(keys.values())
    if missing := [place for place, key in keys.items() if key not in kept]:
        for seconds, found in _ask(missing, step_seconds).items():
            new = {keys[place]: rows for place, rows in found.items()}
            cache.set_many(new, timeout=seconds)
            kept |= new
    return {ticker: [kept.get(keys[ticker, block], []) for block in blocks] for ticker in tickers}


def _ask(missing: list[tuple[str, _Block]], step_seconds: int) -> dict[int, dict[tuple[str, _Block], list[Row]]]:
    """Read the rows of blocks from the exchange with one call; return them by the seconds for which they may be cached.

    The result is empty while the exchange is unavailable.
    """
    begins, ends = min(block.begins for _, block in missing), max(block.ends for _, block in missing)
    period = datetime.fromtimestamp(begins, UTC), datetime.fromtimestamp(ends, UTC)
    tickers = sorted({ticker for ticker, _ in missing})
    answer = unless_away(lambda: gateway.bars_of_many(tickers, *period, step_seconds))
    found: dict[int, dict[tuple[str, _Block], list[Row]]] = {}
    if answer is None:
        return found
    length = BLOCK_STEPS * step_seconds
    bars: dict[tuple[str, int], list[gateway.FirstAndLast]] = defaultdict(list)
    for ticker, of_ticker in answer.items():
        for bar in of_ticker:
            bars[ticker, int(bar.at.timestamp()) // length * length].append(bar)
    for ticker, block in missing:
        rows = _rows(bars[ticker, block.begins], block, step_seconds)
        found.setdefault(block.seconds_kept, {})[ticker, block] = rows
    return found


def _rows(bars: list[gateway.FirstAndLast], block: _Block, step_seconds: int) -> list[Row]:
    if not bars:
        return []
    rows = [(int(bar.at.timestamp()), str(bar.open)) for bar in bars]
    return [*rows, (min(rows[-1][0] + step_seconds, block.ends), str(bars[-1].close))]


def closes(ticker: str, start: datetime, step_seconds: int) -> list[Point]:
    """Return the last price of each step from start to now, at the end of the step, in order of time.

    Steps in which the market was closed are omitted. The list is empty if no price is known: the stock is not listed,
    or the exchange is unavailable.
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
    """Return the price at each moment, in order of time: the last one before it, or the first one if there is none."""
    prices: list[Decimal | None] = []
    following = 0
    for moment in moments:
        while following < len(points) and points[following].at <= moment:
            following += 1
        prices.append(points[max(following - 1, 0)].price if points else None)
    return prices
