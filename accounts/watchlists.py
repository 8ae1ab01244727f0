"""Watchlists: the stocks that a customer follows.

Every change is one statement, so that no change is lost when two happen at once.
"""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Func, QuerySet, Value, When
from django.db.models.functions import Now

from accounts.access_lock import lock_customer
from accounts.models import Watchlist

DEFAULT_NAME = "Primary Watchlist"
WATCHLISTS_MAX = 200  # of one customer
TICKERS_MAX = 200  # in one watchlist


class WatchlistRefused(Exception):
    """A watchlist can't be created or changed in this way."""


class WatchlistFull(WatchlistRefused):
    """The watchlist has TICKERS_MAX stocks."""


class TooManyWatchlists(WatchlistRefused):
    """The customer has WATCHLISTS_MAX watchlists."""


class WatchlistNameTaken(WatchlistRefused):
    """The customer has another watchlist with this name."""


def watchlists_of(customer_id: int) -> QuerySet[Watchlist]:
    """Return a customer's watchlists, by name."""
    return Watchlist.objects.filter(customer_id=customer_id).order_by("name")


def watched_by(customer_id: int) -> list[str]:
    """Return the tickers of the customer's default watchlist, in the order in which they were added."""
    default = Watchlist.objects.filter(customer_id=customer_id, is_default=True).first()
    return default.tickers if default else []


def watch(customer_id: int, ticker: str) -> None:
    """Add a stock to the customer's default watchlist.

    Idempotent: yes. A stock that is already in it keeps its place.

    Raises:
        WatchlistFull: It has TICKERS_MAX stocks.
    """
    add(_default_of(customer_id), ticker)


def unwatch(customer_id: int, ticker: str) -> None:
    """Remove a stock from the customer's default watchlist, if it is in it."""
    for default in Watchlist.objects.filter(customer_id=customer_id, is_default=True):
        remove(default, ticker)


def move_up(customer_id: int, ticker: str) -> None:
    """Move a stock of the customer's default watchlist up by one place, if it isn't the first."""
    with transaction.atomic(durable=True):
        default = Watchlist.objects.filter(customer_id=customer_id, is_default=True).first()
        if default and ticker in default.tickers[1:]:
            index = default.tickers.index(ticker)
            tickers = [*default.tickers]
            tickers[index - 1 : index + 1] = [ticker, tickers[index - 1]]
            # Only if the list has not changed meanwhile, so that no addition is lost.
            Watchlist.objects.filter(pk=default.pk, tickers=default.tickers).update(tickers=tickers, updated_at=Now())


def create(customer_id: int, name: str, tickers: Iterable[str] = (), *, is_default: bool = False) -> Watchlist:
    """Create a watchlist.

    Raises:
        TooManyWatchlists: The customer has WATCHLISTS_MAX already.
        WatchlistNameTaken: The customer has one with this name.
        WatchlistFull: There are more than TICKERS_MAX stocks.
    """
    watchlist = Watchlist(customer_id=customer_id, name=name, tickers=_distinct(tickers), is_default=is_default)
    try:
        with transaction.atomic(durable=True):
            lock_customer(customer_id)
            if Watchlist.objects.filter(customer_id=customer_id).count() >= WATCHLISTS_MAX:
                raise TooManyWatchlists
            watchlist.save(force_insert=True)
    except IntegrityError:
        raise WatchlistNameTaken from None
    watchlist.refresh_from_db()
    return watchlist


def change(watchlist: Watchlist, name: str | None = None, tickers: Iterable[str] | None = None) -> Watchlist:
    """Change a watchlist's name, its stocks, or both; None leaves them as they are.

    Raises:
        WatchlistNameTaken: The customer has another one with this name.
        WatchlistFull: That is more than TICKERS_MAX stocks.
    """
    changes = ({} if name is None else {"name": name}) | ({} if tickers is None else {"tickers": _distinct(tickers)})
    try:
        with transaction.atomic(durable=True):
            Watchlist.objects.filter(pk=watchlist.pk).update(**changes, updated_at=Now())
    except IntegrityError:
        raise WatchlistNameTaken from None
    watchlist.refresh_from_db()
    return watchlist


def add(watchlist: Watchlist, ticker: str) -> Watchlist:
    """Add a stock at the end of a watchlist.

    Idempotent: yes. A stock that is already in it keeps its place.

    Raises:
        WatchlistFull: It has TICKERS_MAX stocks.
    """
    extended = _tickers("array_append", ticker)
    Watchlist.objects.filter(pk=watchlist.pk, tickers__len__lt=TICKERS_MAX).update(
        tickers=Case(When(tickers__contains=[ticker], then=F("tickers")), default=extended), updated_at=Now()
    )
    watchlist.refresh_from_db()
    if ticker not in watchlist.tickers:
        raise WatchlistFull
    return watchlist


def remove(watchlist: Watchlist, ticker: str) -> bool:
    """Remove a stock from a watchlist; return whether it was in it."""
    shortened = _tickers("array_remove", ticker)
    containing = Watchlist.objects.filter(pk=watchlist.pk, tickers__contains=[ticker])
    was_removed = bool(containing.update(tickers=shortened, updated_at=Now()))
    watchlist.refresh_from_db()
    return was_removed


def _default_of(customer_id: int) -> Watchlist:
    """Return the customer's default watchlist. If there is none, make the one named DEFAULT_NAME the default."""
    if default := Watchlist.objects.filter(customer_id=customer_id, is_default=True).first():
        return default
    Watchlist.objects.filter(customer_id=customer_id, name=DEFAULT_NAME).update(is_default=True)
    Watchlist.objects.bulk_create(
        [Watchlist(customer_id=customer_id, name=DEFAULT_NAME, is_default=True)], ignore_conflicts=True
    )
    return Watchlist.objects.get(customer_id=customer_id, is_default=True)


def _tickers(function: str, ticker: str) -> Func:
    return Func(F("tickers"), Value(ticker), function=function, output_field=Watchlist._meta.get_field("tickers"))


def _distinct(tickers: Iterable[str]) -> list[str]:
    distinct = list(dict.fromkeys(tickers))
    if len(distinct) > TICKERS_MAX:
        raise WatchlistFull
    return distinct
