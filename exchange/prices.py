"""The last prices of all stocks: a little old at most, and missing while the exchange is away.

The sweep reads the last prices of all listed stocks every few seconds and puts them into the shared cache. `known`
takes them from there and never calls the exchange: so nothing that must not wait for a price, as placing and a lane's
turn, ever does. Pages want newer ones and may wait a moment for them: `quotes`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.db import connection

from exchange import gateway, market
from exchange.messages import Unknown
from exchange.models import Stock
from web.backoff import Backoff
from web.cached import Cached

QUOTE_SECONDS = 1.0  # how old a price on a page may be while the exchange answers
REFRESH_SECONDS = 5.0  # how often the sweep reads the prices of all stocks
KNOWN_SECONDS_MAX = 60.0  # how old a price may be for `known`, unless the caller says otherwise
KEPT_SECONDS = 86_400  # how long prices stay in the shared cache while the exchange is away
PATIENCE_SECONDS = 0.5  # how long a page waits for another thread's call
AWAY_SECONDS = 2.0  # how long a process does without prices after the exchange failed it
KEY = "prices:last"

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Quote:
    """The last price of a stock, USD a share, the close of the session before, and what else is known of its day.

    `read_at` is when we read it, in epoch seconds; None: not known.
    """

    price: Decimal
    previous_close: Decimal
    at: datetime
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    high_52_weeks: Decimal | None = None
    low_52_weeks: Decimal | None = None
    volume: int | None = None
    read_at: float | None = field(default=None, compare=False)

    @property
    def age_seconds(self) -> float:
        """How long ago we read it."""
        return 0.0 if self.read_at is None else max(0.0, time.time() - self.read_at)


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


def quotes(tickers: Iterable[str], seconds_max: float = KNOWN_SECONDS_MAX) -> dict[str, Quote]:
    """Return last prices by ticker, a second old at most while the exchange answers, and without what is not listed.

    One thread of a process calls the exchange at a time. While it does, and while the exchange is away, the others get
    what is known.

    Args:
        seconds_max: As for `known`.
    """
    wanted = sorted({ticker for ticker in tickers if market.TICKER.fullmatch(ticker)})
    if _stale(wanted) and not _away.is_active:
        patience = PATIENCE_SECONDS if len(known(wanted)) < len(wanted) else 0.0
        if _reading.acquire(timeout=patience):
            try:
                _read(_stale(wanted))
            finally:
                _reading.release()
    return known(wanted, seconds_max)


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
    table = {ticker: (read_at, _quote(row, read_at)) for ticker, row in answer.items()}
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
    answer = unless_away(lambda: gateway.quotes(tickers)) if tickers else {}
    if answer is not None:
        for ticker in tickers:
            _quotes[ticker] = (read_at, _quote(answer[ticker], read_at) if ticker in answer else None)


def _stale(tickers: list[str]) -> list[str]:
    oldest = time.time() - QUOTE_SECONDS
    return [ticker for ticker in tickers if not oldest <= _quotes.get(ticker, NEVER)[0]]


def _read_at(entry: tuple[float, Quote | None]) -> float:
    return entry[0]


NEVER: tuple[float, Quote | None] = (float("-inf"), None)


def forget() -> None:
    """Forget what this process knows, and read it again when it is next asked for."""
    _quotes.clear()
    _shared.clear()
    _away.stop()


def _quote(row: dict[str, Any], read_at: float) -> Quote:
    return Quote(
        row["price"],
        _amount(row, "previousClose") or row["price"],
        row["at"],
        _amount(row, "open"),
        _amount(row, "high"),
        _amount(row, "low"),
        _amount(row, "high52Weeks"),
        _amount(row, "low52Weeks"),
        volume if isinstance(volume := row.get("volume"), int) else None,
        read_at,
    )


def _amount(row: dict[str, Any], name: str) -> Decimal | None:
    try:
        amount = Decimal(row[name])
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return None
    return amount if amount.is_finite() and amount > 0 else None


def unless_away(read: Callable[[], Read]) -> Read | None:
    """Return what a call to the exchange does; None if it does not answer, or did not a moment ago."""
    if _away.is_active:
        return None
    try:
        return read()
    except Unknown:
        _away.start()
        return None
