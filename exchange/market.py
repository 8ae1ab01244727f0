"""What is listed, at what price, and whether the market is open, as customers see it.

The list is kept in the database, so that it serves while the exchange is away, and is refreshed by the sweep.
"""

import re
import threading
import time
from typing import Any

from django.db.models.functions import Now
from django.http import HttpRequest

from exchange import gateway
from exchange.messages import Unknown, storable
from exchange.models import Stock

LIST_AGE_SECONDS_MAX = 30.0  # how long a process trusts what it read of the list
MISS_AGE_SECONDS_MAX = 1.0  # how soon it looks again for a ticker that was not there
CLOCK_AGE_SECONDS_MAX = 1.0
TICKER = re.compile(r"[A-Z0-9.-]{1,12}", re.ASCII)


class _Cached:
    """A value read again when it has become too old; while reading fails, the last one serves."""

    def __init__(self, read: Any, otherwise: Any) -> None:
        self._read, self._value = read, otherwise
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def get(self, age_seconds_max: float) -> Any:
        if time.monotonic() - self._read_at > age_seconds_max and self._lock.acquire(blocking=False):
            try:
                self._value = self._read()
            except Unknown:
                pass
            finally:
                self._read_at = time.monotonic()
                self._lock.release()
        return self._value

    def forget(self) -> None:
        self._read_at = float("-inf")


_listed = _Cached(lambda: frozenset(Stock.objects.filter(listed=True).values_list("ticker", flat=True)), frozenset())
_clock = _Cached(gateway.clock, None)


def refresh() -> int:
    """Read the exchange's list into the database; how many it lists. Again: the same. Raises Unknown.

    What can't be a ticker of ours is left out. A list of nothing is taken for a mistake, and delists nothing.
    """
    rows = {ticker: row for row in gateway.tickers() if TICKER.fullmatch(ticker := row["stockTicker"])}
    Stock.objects.bulk_create(
        [
            Stock(
                ticker=ticker,
                name=storable(row.get("name") or ticker, 200),
                market=storable(row.get("exchange") or "", 40),
                industry=storable(row.get("industry") or "", 120),
                listed=True,
                seen_at=Now(),
            )
            for ticker, row in rows.items()
        ],
        update_conflicts=True,
        unique_fields=["ticker"],
        update_fields=["name", "market", "industry", "listed", "seen_at"],
    )
    if rows:
        Stock.objects.exclude(ticker__in=list(rows)).update(listed=False)
    return len(rows)


def is_listed(ticker: str) -> bool:
    """Whether the exchange lists this stock, by its last list. Before there is any, the exchange itself decides."""
    listed = _listed.get(LIST_AGE_SECONDS_MAX)
    if ticker not in listed:
        listed = _listed.get(MISS_AGE_SECONDS_MAX)
    return ticker in listed or not listed


def clock() -> dict[str, Any] | None:
    """Market hours as the exchange last told them, about a second old at most; None before it ever told."""
    return _clock.get(CLOCK_AGE_SECONDS_MAX)


def forget() -> None:
    """Read everything anew when it is next asked for."""
    _listed.forget()
    _clock.forget()


def context(request: HttpRequest) -> dict[str, Any]:
    """For every page: `market`, the hours."""
    return {"market": clock()}
