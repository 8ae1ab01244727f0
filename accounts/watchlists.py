"""A customer's watchlist."""

from accounts.models import Watched

WATCHED_MAX = 50


class WatchlistFull(Exception):
    """The customer watches as many stocks as one can."""


def watch(customer_id: int, ticker: str) -> None:
    """Put a stock on the watchlist. Again: it is there already. Raises WatchlistFull."""
    others = Watched.objects.filter(customer_id=customer_id).exclude(ticker=ticker)
    if others.count() >= WATCHED_MAX:
        raise WatchlistFull
    Watched.objects.get_or_create(customer_id=customer_id, ticker=ticker)


def unwatch(customer_id: int, ticker: str) -> None:
    """Take a stock off the watchlist. Again: it is off already."""
    Watched.objects.filter(customer_id=customer_id, ticker=ticker).delete()
