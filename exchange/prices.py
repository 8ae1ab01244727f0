"""Prices as pages show them: quotes, charts, the day. A little old at most; missing while the exchange is away."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.cache import cache
from django.utils import timezone

from exchange import gateway, market
from exchange.messages import Unknown

QUOTE_SECONDS = 1.0  # how old a price on a page may be
HISTORY_SECONDS_MAX = 60  # how old the newest part of a chart may be; what is past never changes
AWAY_SECONDS = 2.0  # how long a process does without prices after the exchange failed it
CALENDAR_DAYS_BACK = 10  # no run of closed days is longer


@dataclass(frozen=True, slots=True)
class Quote:
    """The last price of a stock, USD a share, and the close of the session before."""

    price: Decimal
    previous_close: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Point:
    """The price of a stock at a moment."""

    at: datetime
    price: Decimal


_quotes: dict[str, tuple[float, Quote | None]] = {}
_away_until = float("-inf")


def quotes(tickers: Iterable[str]) -> dict[str, Quote]:
    """Last prices by ticker, a second old at most; without what is not listed, and empty while the exchange is away."""
    wanted = sorted({ticker for ticker in tickers if market.TICKER.fullmatch(ticker)})
    now = time.monotonic()
    stale = [ticker for ticker in wanted if now - _quotes.get(ticker, (float("-inf"), None))[0] > QUOTE_SECONDS]
    if stale and (answer := _unless_away(lambda: gateway.quotes(stale))) is not None:
        for ticker in stale:
            _quotes[ticker] = (now, _quote(answer[ticker]) if ticker in answer else None)
        stale = []
    found = {ticker: _quotes[ticker][1] for ticker in wanted if ticker not in stale}
    return {ticker: quote for ticker, quote in found.items() if quote}


def history(ticker: str, start: datetime, step_seconds: int) -> list[Point]:
    """Prices from start to now, in order of time: at multiples of the step while the market was open, and the last.

    Empty where nothing is known: the stock is not listed, or the exchange is away.
    """
    first = int(start.timestamp()) // step_seconds * step_seconds
    key = f"prices:{ticker}:{first}:{step_seconds}"
    if (kept := cache.get(key)) is not None:
        return kept
    begin = datetime.fromtimestamp(first, UTC)
    try:
        bars = _unless_away(lambda: gateway.bars(ticker, begin, timezone.now(), step_seconds))
    except gateway.NotListed:
        return []
    if bars is None:
        return []
    points = [Point(bar["at"], bar["open"]) for bar in bars]
    if bars:
        points.append(Point(min(bars[-1]["at"] + timedelta(seconds=step_seconds), timezone.now()), bars[-1]["close"]))
    cache.set(key, points, min(step_seconds, HISTORY_SECONDS_MAX))
    return points


def price_at(points: Sequence[Point], moments: Iterable[datetime]) -> list[Decimal | None]:
    """For each moment, in order of time, the price then: the last one known, or before any is, the first."""
    prices: list[Decimal | None] = []
    following = 0
    for moment in moments:
        while following < len(points) and points[following].at <= moment:
            following += 1
        prices.append(points[max(following - 1, 0)].price if points else None)
    return prices


def day_start() -> datetime:
    """When the day that a day's change is of began: the last opening bell, or 24 hours ago where there is none."""
    clock = market.clock()
    now = timezone.now()
    if clock and clock["hours"] != "always":
        today = now.date()
        sessions = _sessions(today.isoformat())
        if opened := [session["opensAt"] for session in sessions if session["opensAt"] <= now]:
            return opened[-1]
    return now - timedelta(days=1)


def forget() -> None:
    """Read everything anew when it is next asked for."""
    global _away_until
    _quotes.clear()
    _away_until = float("-inf")


def _sessions(today: str) -> list[dict[str, Any]]:
    key = f"sessions:{today}"
    if (kept := cache.get(key)) is not None:
        return kept
    end = datetime.fromisoformat(today).date()
    sessions = _unless_away(lambda: gateway.calendar(end - timedelta(days=CALENDAR_DAYS_BACK), end))
    if sessions is None:
        return []
    cache.set(key, sessions, 3600)
    return sessions


def _quote(row: dict[str, Any]) -> Quote | None:
    try:
        return Quote(row["price"], Decimal(row["previousClose"]), row["at"])
    except (KeyError, TypeError, InvalidOperation):
        return Quote(row["price"], row["price"], row["at"])


def _unless_away(read: Any) -> Any:
    """What `read` answers; None where the exchange does not answer, or did not a moment ago."""
    global _away_until
    if time.monotonic() < _away_until:
        return None
    try:
        return read()
    except Unknown:
        _away_until = time.monotonic() + AWAY_SECONDS
        return None
