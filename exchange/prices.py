"""Prices: the last ones of all stocks, and those of charts. A little old at most; missing while the exchange is away.

The sweep reads the last prices of all listed stocks every few seconds and puts them into the shared cache. `known`
takes them from there and never calls the exchange: so nothing that must not wait for a price, as placing and a lane's
turn, ever does. Pages want newer ones and may wait a moment for them: `quotes`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from exchange import calendar, gateway, market
from exchange.messages import Unknown
from exchange.models import Stock
from web.backoff import Backoff
from web.cached import Cached

QUOTE_SECONDS = 1.0  # how old a price on a page may be while the exchange answers
REFRESH_SECONDS = 5.0  # how often the sweep reads the prices of all stocks
KNOWN_SECONDS_MAX = 60.0  # how old a price may be for `known`, unless the caller says otherwise
KEPT_SECONDS = 86_400  # how long prices stay in the shared cache while the exchange is away
PATIENCE_SECONDS = 0.5  # how long a page waits for another thread's call
HISTORY_SECONDS_MAX = 60  # how old the newest part of a chart may be; what is past never changes
AWAY_SECONDS = 2.0  # how long a process does without prices after the exchange failed it
DAYS_BACK = 10  # no run of closed days is longer
KEY = "prices:last"

Read = TypeVar("Read")


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


class LastPrices:
    """What the process and the shared cache knew of prices at one moment. Asking it never calls anybody."""

    def __init__(self, shared: Mapping[str, tuple[float, "Quote | None"]], seconds_max: float) -> None:
        self._shared, self._oldest = shared, time.time() - seconds_max

    def quote(self, ticker: str) -> Quote | None:
        """Return the last price of a stock; None where none is known that is young enough."""
        read_at, quote = max(_quotes.get(ticker, NEVER), self._shared.get(ticker, NEVER), key=_read_at)
        return quote if read_at >= self._oldest else None

    def price(self, ticker: str) -> Decimal | None:
        """Return the last price of a stock, USD a share; None where none is known that is young enough."""
        quote = self.quote(ticker)
        return None if quote is None else quote.price


# By ticker: when it was read (epoch seconds), and the quote; None where the stock is not listed.
_quotes: dict[str, tuple[float, Quote | None]] = {}
_reading = threading.Lock()
_away = Backoff(AWAY_SECONDS)
_shared: Cached[dict[str, tuple[float, Quote]]] = Cached(lambda: cache.get(KEY) or {}, QUOTE_SECONDS, initial={})


def known(tickers: Iterable[str], seconds_max: float = KNOWN_SECONDS_MAX) -> dict[str, Quote]:
    """Return the last prices that this process or the shared cache knows, by ticker. Never calls the exchange.

    Args:
        seconds_max: How long ago a price may have been read. One that is older is left out.
    """
    last = last_prices(seconds_max)
    return {ticker: quote for ticker in tickers if (quote := last.quote(ticker))}


def last_prices(seconds_max: float = KNOWN_SECONDS_MAX) -> LastPrices:
    """Return the last prices that are known now. Never calls the exchange; asks the shared cache once a second.

    Take them before a transaction, to ask for single stocks inside it.

    Args:
        seconds_max: As for `known`.
    """
    if not settings.CACHE_URL:
        _refresh_in_background()
    return LastPrices(_shared.get(), seconds_max)


def quotes(tickers: Iterable[str]) -> dict[str, Quote]:
    """Return last prices by ticker, a second old at most while the exchange answers, and without what is not listed.

    One thread of a process calls the exchange at a time. While it does, and while the exchange is away, the others get
    what is known.
    """
    wanted = sorted({ticker for ticker in tickers if market.TICKER.fullmatch(ticker)})
    if _stale(wanted) and not _away.is_active:
        patience = PATIENCE_SECONDS if len(known(wanted)) < len(wanted) else 0.0
        if _reading.acquire(timeout=patience):
            try:
                _read(_stale(wanted))
            finally:
                _reading.release()
    return known(wanted)


def quote(ticker: str) -> Quote:
    """Return the last price of one stock, as `quotes` does.

    Raises:
        NotListed: The exchange does not list it.
        Unknown: The exchange is away, and no price is known.
    """
    if found := quotes([ticker]).get(ticker):
        return found
    if not market.TICKER.fullmatch(ticker) or _quotes.get(ticker, NEVER)[0] > time.time() - KNOWN_SECONDS_MAX:
        raise gateway.NotListed(ticker)
    raise Unknown("no price is known")


def refresh() -> int:
    """Read the last prices of all listed stocks into the shared cache; return how many were read.

    Idempotent: prices that another process has just read are not read again.

    Raises:
        Unknown: The exchange gave no answer that can be trusted.
    """
    newest = max((read_at for read_at, _ in (cache.get(KEY) or {}).values()), default=0.0)
    if time.time() - newest < REFRESH_SECONDS / 2:
        return 0
    read_at = time.time()
    answer = gateway.quotes(sorted(Stock.objects.filter(listed=True).values_list("ticker", flat=True)))
    table = {ticker: (read_at, _quote(row)) for ticker, row in answer.items()}
    _quotes.update(table)
    cache.set(KEY, (cache.get(KEY) or {}) | table, KEPT_SECONDS)
    return len(table)


def _refresh_in_background() -> None:
    """Without a shared cache, each process keeps its own prices fresh, in a thread that nobody waits for."""
    newest = max((read_at for read_at, _ in _quotes.values()), default=0.0)
    if time.time() - newest < REFRESH_SECONDS or _away.is_active or not _reading.acquire(blocking=False):
        return

    def read() -> None:
        try:
            _read(sorted(market.listed()))
        finally:
            connection.close()
            _reading.release()

    threading.Thread(target=read, name="prices", daemon=True).start()


def _read(tickers: list[str]) -> None:
    read_at = time.time()
    answer = _unless_away(lambda: gateway.quotes(tickers)) if tickers else {}
    if answer is not None:
        for ticker in tickers:
            _quotes[ticker] = (read_at, _quote(answer[ticker]) if ticker in answer else None)


def _stale(tickers: list[str]) -> list[str]:
    oldest = time.time() - QUOTE_SECONDS
    return [ticker for ticker in tickers if not oldest <= _quotes.get(ticker, NEVER)[0]]


def _read_at(entry: tuple[float, Quote | None]) -> float:
    return entry[0]


NEVER: tuple[float, Quote | None] = (float("-inf"), None)


def history(ticker: str, start: datetime, step_seconds: int) -> list[Point]:
    """Return prices from start to now, in order of time: at multiples of the step while it was open, and the last.

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


def closes(ticker: str, start: datetime, step_seconds: int) -> list[Point]:
    """Return the last price of each step from start to now, at the end of the step, in order of time.

    Steps in which the market was closed are left out. Empty where nothing is known: the stock is not listed, or the
    exchange is away.
    """
    step = timedelta(seconds=step_seconds)
    begin = datetime.fromtimestamp(int(start.timestamp()) // step_seconds * step_seconds, UTC)
    key = f"closes:{ticker}:{int(begin.timestamp())}:{step_seconds}"
    if (kept := cache.get(key)) is not None:
        return kept
    points: list[Point] = []
    while begin < timezone.now():
        try:
            bars = _unless_away(partial(gateway.bars, ticker, begin, timezone.now(), step_seconds))
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


def day_start() -> datetime:
    """Return when the day began that a day's change is of: the last opening bell, or 24 hours ago without any."""
    clock = market.clock()
    now = timezone.now()
    if clock and clock["hours"] != "always":
        today = calendar.eastern_date(now)
        sessions = calendar.sessions(today - timedelta(days=DAYS_BACK), today)
        if opened := [session.opens_at for session in sessions if session.opens_at <= now]:
            return opened[-1].astimezone(UTC)
    return now - timedelta(days=1)


def forget() -> None:
    """Forget what this process knows, and read it again when it is next asked for."""
    _quotes.clear()
    _shared.clear()
    _away.stop()


def _quote(row: dict[str, Any]) -> Quote:
    try:
        return Quote(row["price"], Decimal(row["previousClose"]), row["at"])
    except (KeyError, TypeError, InvalidOperation):
        return Quote(row["price"], row["price"], row["at"])


def _unless_away(read: Callable[[], Read]) -> Read | None:
    """Return what `read` does; None where the exchange does not answer, or did not a moment ago."""
    if _away.is_active:
        return None
    try:
        return read()
    except Unknown:
        _away.start()
        return None
