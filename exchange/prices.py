"""The last prices of all stocks. They may be slightly old, or missing while the exchange is unavailable.

The sweep reads the last prices of all listed stocks every few seconds into the shared cache. `known` reads them from
there and never calls the exchange, so that placing and turns never wait for a price. Pages need newer prices and may
wait a moment for them: they use `quotes`. A stock that is no longer listed keeps its last price, so that positions in
it still have a value.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from django.conf import settings
from django.core.cache import cache
from django.db import Error, connection
from django.db.models import Q

from exchange import gateway, market
from exchange.messages import Unknown
from exchange.models import Stock
from web.backoff import Backoff
from web.cached import Cached
from web.patience import deduct, seconds_left
from web.valkey import cache_backoff

QUOTE_SECONDS = 1.0  # how old a price may be on which a customer acts, while the exchange answers
LIVE_SECONDS = 10.0  # how old a price may be on a page when it opens: it then follows the prices by itself
REFRESH_SECONDS = 5.0  # how often the sweep reads the prices of all stocks
COPY_SECONDS_MAX = 2 * REFRESH_SECONDS  # how long a process keeps its copy without reading the table again
KNOWN_SECONDS_MAX = 60.0  # how old a price from `known` may be by default
KEPT_SECONDS = 86_400  # how long prices stay in the shared cache while the exchange is unavailable
WAIT_SECONDS_MAX = 0.5  # how long a page waits for another thread's call
AWAY_SECONDS = 2.0  # how long a process doesn't ask for prices after the exchange failed to answer
UNLISTED_AGE_SECONDS_MAX = 30.0  # how old a process's copy of the prices of unlisted stocks may be
READ_TOGETHER = 50  # stocks in one call of a page, so that it answers in time and a late one loses only these
STORE_SECONDS = 60.0  # how often the sweep stores the last prices, for stocks that may be delisted
KEY = "prices:last"
STAMP_KEY = "prices:stamp"  # changes whenever the prices do; the table is large, so a process reads it only then

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Quote:
    """The last price of a stock, the previous close, and its trading day so far, in USD per share.

    `read_at` is when we read it, in seconds since the epoch; None: unknown. With `is_last_known`, the exchange no
    longer lists the stock, and this was its last price.
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
    is_last_known: bool = False

    @property
    def age_seconds(self) -> float:
        """The seconds since we read it."""
        return 0.0 if self.read_at is None else max(0.0, time.time() - self.read_at)


_NAMES, _DEFAULTS = zip(*((item.name, item.default) for item in fields(Quote)), strict=True)


def _unpickle(quote: Quote, state: Sequence[Any]) -> None:
    """Fill a quote that another release has put into the shared cache: what it lacks has its default."""
    for name, value in zip(_NAMES, (*state, *_DEFAULTS[len(state) :]), strict=False):
        object.__setattr__(quote, name, value)


# Python 3.11.2, which is Debian 12's, replaces a method of this name that the class has, so it is set afterwards.
Quote.__setstate__ = _unpickle  # type: ignore[attr-defined]


class LastPrices:
    """A snapshot of the prices in this process and the shared cache. Its methods do no I/O."""

    def __init__(self, shared: Mapping[str, tuple[float, "Quote | None"]], seconds_max: float) -> None:
        self._shared, self._oldest = shared, time.time() - seconds_max

    def quote(self, ticker: str) -> Quote | None:
        """Return the last quote of a stock; None if there is none that is recent enough."""
        return self._last(ticker)[1] if self.is_known(ticker) else None

    def is_known(self, ticker: str) -> bool:
        """Return whether there is a recent enough quote of a stock, or we recently read that it is not listed."""
        return self._last(ticker)[0] >= self._oldest

    def _last(self, ticker: str) -> tuple[float, Quote | None]:
        return max(_quotes.get(ticker, NEVER), self._shared.get(ticker, NEVER), key=_read_at)

    def price(self, ticker: str) -> Decimal | None:
        """Return the last price of a stock in USD per share; None if there is none that is recent enough."""
        quote = self.quote(ticker)
        return None if quote is None else quote.price


# By ticker: when it was read (seconds since the epoch), and the quote; None: the stock is not listed.
_quotes: dict[str, tuple[float, Quote | None]] = {}
_reading = threading.Lock()
_away = Backoff(AWAY_SECONDS)


class _Copy(NamedTuple):
    """This process's copy of the shared table. An older release's sweep sets no stamp, so a copy has an age, too."""

    table: dict[str, tuple[float, Quote]]
    stamp: str | None
    at: float

    def is_current(self, stamp: str | None) -> bool:
        return stamp is not None and stamp == self.stamp and time.monotonic() - self.at < COPY_SECONDS_MAX


_copy: _Copy | None = None


def _read_shared() -> dict[str, tuple[float, Quote]]:
    global _copy
    stamp: str | None = cache.get(STAMP_KEY)
    if _copy is None or not _copy.is_current(stamp):
        table: dict[str, tuple[float, Quote]] | None = cache.get(KEY)
        if table is None and cache_backoff.is_active:
            raise Unknown("the shared cache is away")
        _copy = _Copy(table or {}, stamp, time.monotonic())
    return _copy.table


_shared: Cached[dict[str, tuple[float, Quote]]] = Cached(
    _read_shared, QUOTE_SECONDS, initial={}, stale_after=(Unknown,)
)


def known(tickers: Iterable[str], seconds_max: float = KNOWN_SECONDS_MAX) -> dict[str, Quote]:
    """Return the last quotes in this process or the shared cache, by ticker. Never calls the exchange.

    For a stock that is no longer listed, it returns the last quote that there was, however old it is.

    Args:
        seconds_max: How long ago a price may have been read. Older prices are omitted.
    """
    last, requested = last_prices(seconds_max), list(tickers)
    found = {ticker: quote for ticker in requested if (quote := last.quote(ticker))}
    if len(found) < len(requested):
        unlisted = _unlisted.get()
        found |= {ticker: unlisted[ticker] for ticker in requested if ticker not in found and ticker in unlisted}
    return found


def last_prices(seconds_max: float = KNOWN_SECONDS_MAX) -> LastPrices:
    """Return a snapshot of the last prices. Never calls the exchange, and reads the shared cache at most once a second.

    Take it before a transaction that needs prices.

    Args:
        seconds_max: See `known`.
    """
    if not settings.CACHE_URL or cache_backoff.is_active:
        _refresh_in_background()
    return LastPrices(_shared.get(), seconds_max)


def quotes(
    tickers: Iterable[str], seconds_max: float = KNOWN_SECONDS_MAX, fresh_seconds: float = QUOTE_SECONDS
) -> dict[str, Quote]:
    """Return the last quotes by ticker, at most a second old while the exchange answers.

    Stocks that were never listed are omitted; for a stock that no longer is, see `known`.

    Only one thread of a process calls the exchange at a time. Meanwhile, and while the exchange is unavailable, the
    others get the known prices.

    Args:
        seconds_max: See `known`.
        fresh_seconds: How old a price may be before the exchange is asked for a newer one.
    """
    valid = sorted({ticker for ticker in tickers if market.TICKER.fullmatch(ticker)})
    if _stale(valid, fresh_seconds) and not _away.is_active:
        wait_seconds = seconds_left(WAIT_SECONDS_MAX, optional=True) if len(known(valid)) < len(valid) else 0.0
        if _reading.acquire(timeout=wait_seconds):
            try:
                _read(_stale(valid, fresh_seconds))
            finally:
                _reading.release()
        else:
            deduct(wait_seconds)
    return known(valid, seconds_max)


def quote(ticker: str) -> Quote:
    """Return the last price of one stock, as `quotes` does.

    Raises:
        NotListed: The exchange does not list the stock.
        Unknown: The exchange is unavailable, and no price is known.
    """
    if current := quotes([ticker]).get(ticker):
        if current.is_last_known:
            raise gateway.NotListed(ticker)
        return current
    if not market.TICKER.fullmatch(ticker) or _quotes.get(ticker, NEVER)[0] > time.time() - KNOWN_SECONDS_MAX:
        raise gateway.NotListed(ticker)
    raise Unknown("no price is known")


def refresh() -> int:
    """Read the last prices of all listed stocks into the shared cache; return how many were read.

    Idempotent: prices that another process has just read are not read again.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    before: dict[str, tuple[float, Quote | None]] = cache.get(KEY) or {}
    newest = max((read_at for read_at, _ in before.values()), default=0.0)
    if time.time() - newest < REFRESH_SECONDS / 2:
        return 0
    read_at = time.time()
    answer = gateway.quotes(sorted(Stock.objects.filter(listed=True).values_list("ticker", flat=True)))
    table = {ticker: (read_at, _quote(row, read_at)) for ticker, row in answer.items()}
    _quotes.update(table)
    cache.set(KEY, before | table, KEPT_SECONDS)
    cache.set(STAMP_KEY, uuid4().hex, KEPT_SECONDS)
    return len(table)


def store() -> int:
    """Store the last prices with their stocks; return how many were stored. Idempotent.

    A stock that is no longer in the exchange's list, and so has no price anymore, keeps the last one.
    """
    table = cache.get(KEY) or {}
    last = [quote for _, quote in table.values()]
    with connection.cursor() as cursor:
        cursor.execute(STORE, [list(table), [quote.price for quote in last], [quote.at for quote in last]])
        return int(cursor.rowcount)


def last_of_unlisted(before: datetime) -> dict[str, Decimal]:
    """Return the last prices of the stocks that are no longer listed and were last quoted before this time."""
    last = _UNLISTED.filter(last_price_at__lt=before).values_list("ticker", "last_price")
    return {ticker: price for ticker, price in last if price}


def _read_unlisted() -> dict[str, Quote]:
    return {
        ticker: Quote(price, price, at, is_last_known=True)
        for ticker, price, at in _UNLISTED.values_list("ticker", "last_price", "last_price_at")
        if price and at
    }


_UNLISTED = Stock.objects.filter(Q(listed=False) | Q(missing_since__isnull=False), last_price__isnull=False)


_unlisted: Cached[dict[str, Quote]] = Cached(_read_unlisted, UNLISTED_AGE_SECONDS_MAX, initial={}, stale_after=(Error,))

STORE = """
    UPDATE exchange_stock AS stock SET last_price = new.price, last_price_at = new.at
    FROM unnest(%s::text[], %s::numeric[], %s::timestamptz[]) AS new (ticker, price, at)
    WHERE stock.ticker = new.ticker AND stock.last_price_at IS DISTINCT FROM new.at
"""


def _refresh_in_background() -> None:
    """Refresh this process's own prices in a background thread, while there is no shared cache."""
    newest = max((read_at for read_at, _ in _quotes.values()), default=0.0)
    if time.time() - newest < REFRESH_SECONDS or _away.is_active:
        return
    tickers = sorted(market.listed())  # here, because the thread has no connection to the database
    if not _reading.acquire(blocking=False):
        return

    def read() -> None:
        try:
            _read(tickers)
        finally:
            _reading.release()

    threading.Thread(target=read, name="prices", daemon=True).start()


def _read(tickers: list[str]) -> None:
    for number in range(0, len(tickers), READ_TOGETHER):
        batch, read_at = tickers[number : number + READ_TOGETHER], time.time()
        answer = none_if_unavailable(partial(gateway.quotes, batch))
        if answer is None:
            return
        for ticker in batch:
            _quotes[ticker] = (read_at, _quote(answer[ticker], read_at) if ticker in answer else None)


def _stale(tickers: list[str], fresh_seconds: float) -> list[str]:
    last = last_prices(fresh_seconds)
    return [ticker for ticker in tickers if not last.is_known(ticker)]


def _read_at(entry: tuple[float, Quote | None]) -> float:
    return entry[0]


NEVER: tuple[float, Quote | None] = (float("-inf"), None)


def forget() -> None:
    """Drop this process's prices, so that the next access reads them again."""
    global _copy
    _copy = None
    _quotes.clear()
    _shared.clear()
    _unlisted.clear()
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


def none_if_unavailable(read: Callable[[], Read]) -> Read | None:
    """Return the result of a call to the exchange; None if it doesn't answer, or didn't a moment ago."""
    if _away.is_active:
        return None
    try:
        return read()
    except Unknown:
        _away.start()
        return None
