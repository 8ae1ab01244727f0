"""The listed stocks and the market hours, as customers see them.

The list is stored in the database, so that it is available while the exchange is not. The sweep refreshes it.
"""

import re
import time
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from exchange import calendar, exchange_time, gateway
from exchange.messages import Unknown, storable
from exchange.models import Closure, ShortList, Stock
from web.backoff import Backoff
from web.cached import Cached
from web.timezones import EASTERN

LIST_AGE_SECONDS_MAX = 30.0  # how old a process's copy of the list may be
MISS_AGE_SECONDS_MAX = 1.0  # how old it may be for a ticker that is not in it
CLOCK_AGE_SECONDS_MAX = 1.0
CLOCK_KNOWN_SECONDS_MAX = 3  # how old the market hours in the shared cache may be; a whole number
CLOCK_KEY = "market:clock"
AWAY_SECONDS = 2.0  # how long a process doesn't ask for market hours after the exchange failed to answer
# A stock that is missing from the list is delisted only after this time.
DELIST_AFTER = timedelta(minutes=10)
# A list that lacks more than this share of all stocks is rejected, until it is complete again or staff accept it.
MISSING_PART_MAX = 0.03
MISSING_ALWAYS_ACCEPTED = 3  # this many missing stocks are accepted, however short the list is
TICKER = re.compile(r"[A-Z0-9.-]{1,12}", re.ASCII)

log = structlog.get_logger()


def refresh() -> int:
    """Read the exchange's list and its closures into the database; return how many stocks are listed.

    A missing stock stays listed until it has been missing for DELIST_AFTER, so one bad answer delists nothing. A list
    that has shrunk by more than MISSING_PART_MAX is rejected, and `short_list` returns it. Tickers in a format that we
    don't support are ignored.

    Idempotent.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    refresh_closures()
    rows = {ticker: row for row in gateway.tickers() if TICKER.fullmatch(ticker := row["stockTicker"])}
    now = timezone.now()  # and not Now(): only literal values are inserted as arrays, in half the time
    Stock.objects.bulk_create(
        [
            Stock(
                ticker=ticker,
                name=storable(row.get("name") or ticker, 200),
                market=storable(row.get("exchange") or "", 40),
                industry=storable(row.get("industry") or "", 120),
                listed=True,
                seen_at=now,
                missing_since=None,
            )
            for ticker, row in rows.items()
        ],
        update_conflicts=True,
        unique_fields=["ticker"],
        update_fields=["name", "market", "industry", "listed", "seen_at", "missing_since"],
    )
    _handle_missing(set(rows))
    return len(rows)


def _handle_missing(tickers: set[str]) -> None:
    listed = Stock.objects.filter(listed=True)
    missing = listed.exclude(ticker__in=tickers)
    count, all_listed = missing.count(), listed.count()
    is_short = count > max(MISSING_ALWAYS_ACCEPTED, all_listed * MISSING_PART_MAX) or (count and not tickers)
    if is_short and not _is_accepted(missing):
        _reject_list(sorted(missing.values_list("ticker", flat=True)), all_listed)
        return
    ShortList.objects.filter(ended_at=None).update(ended_at=Now())
    missing.filter(missing_since=None).update(missing_since=Now())
    delisted = missing.filter(missing_since__lt=Now() - DELIST_AFTER)
    if names := list(delisted.values_list("ticker", flat=True)):
        log.warning("delisted", tickers=names)
        delisted.update(listed=False)


def _is_accepted(missing: Any) -> bool:
    """Return whether staff have accepted a list that lacked all these stocks."""
    newest = ShortList.objects.exclude(accepted_by="").order_by("-ended_at").first()
    return newest is not None and set(missing.values_list("ticker", flat=True)) <= set(newest.missing)


def _reject_list(tickers: list[str], all_listed: int) -> None:
    with transaction.atomic(durable=True):
        if not ShortList.objects.filter(ended_at=None).update(seen_at=Now(), missing=tickers, listed=all_listed):
            ShortList.objects.bulk_create([ShortList(listed=all_listed, missing=tickers)], ignore_conflicts=True)
    log.error("the exchange's list of stocks has shrunk and is rejected", missing=len(tickers), listed=all_listed)


def short_list() -> ShortList | None:
    """Return the list that is rejected because it lacks too many stocks; None if there is none."""
    return ShortList.objects.filter(ended_at=None).first()


def accept_short_list(by: str) -> int:
    """Accept, as staff, that the stocks missing from the rejected list are gone; return how many.

    They are delisted if they are still missing after DELIST_AFTER from now.

    Idempotent.
    """
    rejected = short_list()
    if rejected is None:
        return 0
    ShortList.objects.filter(pk=rejected.pk).update(ended_at=Now(), accepted_by=by)
    return len(rejected.missing)


def refresh_closures() -> None:
    """Read the exchange's closures into the database, and delete those it has withdrawn. Never raises Unknown."""
    try:
        announced = {row["date"]: row for row in gateway.closures()}
    except Unknown as unknown:
        log.warning("could not read closures from the exchange", seen=str(unknown))
        return
    Closure.objects.bulk_create(
        [
            Closure(day=day, closes=row["close"], reason=row["reason"], source=Closure.Source.EXCHANGE)
            for day, row in announced.items()
        ],
        update_conflicts=True,
        unique_fields=["day", "source"],
        update_fields=["closes", "reason"],
    )
    Closure.objects.filter(source=Closure.Source.EXCHANGE, day__gte=calendar.today()).exclude(
        day__in=announced
    ).delete()


def is_listed(ticker: str) -> bool:
    """Return whether the exchange's last list has this stock. Before there is a list, always return True."""
    listed = _listed.get()
    if ticker not in listed:
        listed = _listed.get(MISS_AGE_SECONDS_MAX)
    return ticker in listed or not listed


def listed() -> frozenset[str]:
    """Return the tickers of all stocks in the exchange's last list."""
    return _listed.get()


def clock() -> dict[str, Any] | None:
    """Return the market hours, at most about a second old while the exchange answers; None before its first answer.

    Returns:
        `isOpen`, `hours`, `nextOpen` and `nextClose`. A closure entered by staff is taken into account.
    """
    hours = last_clock.get() or None
    return None if hours is None else _with_closure(hours, exchange_time.now() or timezone.now())


def is_open() -> bool:
    """Return whether the market is open, by the exchange's clock; False if that is not known.

    It doesn't call the exchange while the sweep keeps the cached hours fresh: an open or a close is noticed within
    CLOCK_KNOWN_SECONDS_MAX, and never too early.
    """
    hours = clock()
    if hours is None or not hours["isOpen"]:
        return False
    return hours["nextClose"] is None or (exchange_time.now() or timezone.now()) < hours["nextClose"]


def is_always_open() -> bool:
    """Return whether the exchange never closes, as the stand-in exchange by default; False while that is not known."""
    hours = clock()
    return hours is not None and hours["hours"] == "always"


def has_trading_hours() -> bool:
    """Return whether the exchange opens and closes; False while that is not known."""
    hours = clock()
    return hours is not None and hours["hours"] != "always"


def refresh_clock() -> None:
    """Read the market hours into the shared cache, for all processes. Idempotent.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    cache.set(CLOCK_KEY, (time.time(), gateway.clock()), CLOCK_KNOWN_SECONDS_MAX)


def _read_clock() -> dict[str, Any]:
    read_at, hours = cache.get(CLOCK_KEY) or (0.0, {})
    if time.time() - read_at < CLOCK_KNOWN_SECONDS_MAX:
        return hours
    if _away.is_active:
        raise Unknown("not called: the exchange did not answer a moment ago")
    try:
        return gateway.clock()
    except Unknown:
        _away.start()
        raise


def _with_closure(hours: dict[str, Any], now: datetime) -> dict[str, Any]:
    closure = calendar.closure_on(calendar.eastern_date(now))
    if closure is None or closure.source != Closure.Source.STAFF:
        return hours
    closes_at = None if closure.closes is None else datetime.combine(closure.day, closure.closes, EASTERN)
    if closes_at is not None and now < closes_at:
        return hours | {"nextClose": min(filter(None, (hours["nextClose"], closes_at)))} if hours["isOpen"] else hours
    following = calendar.next_session(now)
    return hours | {
        "isOpen": False,
        "nextOpen": following and following.opens_at,
        "nextClose": following and following.closes_at,
    }


def forget() -> None:
    """Drop this process's copies, so that the next access reads them again."""
    _away.stop()
    _listed.clear()
    last_clock.clear()
    calendar.expire()


def context(request: HttpRequest) -> dict[str, Any]:
    """Add the market hours to every page, as `market`."""
    return {"market": clock()}


_away = Backoff(AWAY_SECONDS)
_listed: Cached[frozenset[str]] = Cached(
    lambda: frozenset(Stock.objects.filter(listed=True).values_list("ticker", flat=True)),
    LIST_AGE_SECONDS_MAX,
    initial=frozenset(),
)
last_clock: Cached[dict[str, Any]] = Cached(_read_clock, CLOCK_AGE_SECONDS_MAX, initial={}, stale_after=(Unknown,))
