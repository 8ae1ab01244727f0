"""Ticker changes: which old tickers mean which stock, and what is renamed besides shares and trades."""

from dataclasses import dataclass
from datetime import date

from django.db import connection, transaction
from django.db.models import Q

from accounts.models import Position
from exchange import market
from exchange.models import Stock
from trades.models import CorporateAction, TradingControl
from web.cached import Cached

Kind, State = CorporateAction.Kind, CorporateAction.State
KNOWN_SECONDS_MAX = 2.0  # how long a process caches past splits and ticker changes


def problem_with(action: CorporateAction) -> str:
    """Return why a corporate action conflicts with a ticker change; empty if it doesn't.

    The result of two pending actions on one stock would depend on their order.
    """
    changes = CorporateAction.objects.filter(kind=Kind.TICKER_CHANGE).exclude(id=action.id)
    same_ticker = Q(ticker=action.ticker, ex_date__lte=action.ex_date)
    before = (
        changes.filter(same_ticker, state__in=[State.APPROVED, State.APPLYING, State.DONE]).order_by("-ex_date").first()
    )
    if before and not (before.state == State.DONE and _is_listed(action.ticker)):
        return (
            f"From {before.ex_date} on, {action.ticker} is {before.new_ticker}: enter this one for {before.new_ticker}."
        )
    if action.kind != Kind.TICKER_CHANGE:
        return ""
    new = action.new_ticker
    if not market.TICKER.fullmatch(new) or new == action.ticker:
        return f"{new} can't be the new ticker of {action.ticker}."
    if Position.objects.filter(ticker=new, quantity__gt=0).exists():
        return f"Customers already hold shares under {new}."
    waiting = CorporateAction.objects.filter(state__in=[State.APPROVED, State.APPLYING]).exclude(id=action.id)
    later = Q(ticker=action.ticker, ex_date__gte=action.ex_date) | Q(ticker=new) | Q(new_ticker=new)
    if other := waiting.filter(later).first():
        return f"Another action has been approved but not applied yet: {other}. Decide on this one afterwards."
    return ""


def finish(ticker: str, new_ticker: str) -> None:
    """Move the listing, watchlists, halts and restrictions of a stock to its new ticker.

    Idempotent: yes. One transaction.
    """
    with transaction.atomic(durable=True):
        for old in Stock.objects.filter(ticker=ticker):
            new = Stock(ticker=new_ticker, name=old.name, market=old.market, industry=old.industry)
            Stock.objects.bulk_create([new], ignore_conflicts=True)
        Stock.objects.filter(ticker=new_ticker).update(listed=True, missing_since=None)
        Stock.objects.filter(ticker=ticker).update(listed=False)
        with connection.cursor() as cursor:
            cursor.execute(RENAME_IN_WATCHLISTS, {"old": ticker, "new": new_ticker})
        _copy_controls(ticker, new_ticker)
    market.forget()
    forget()


def _copy_controls(ticker: str, new_ticker: str) -> None:
    newest = TradingControl.objects.filter(ticker=ticker).order_by("kind", "-id").distinct("kind")
    existing = set(TradingControl.objects.filter(ticker=new_ticker).values_list("kind", flat=True))
    TradingControl.objects.bulk_create(
        TradingControl(kind=control.kind, ticker=new_ticker, reason=control.reason, by_id=control.by_id)
        for control in newest
        if control.is_on and control.kind not in existing
    )


def today(ticker: str) -> str:
    """Return the ticker that a stock has today; the same one if it has not changed."""
    return _past.get().renamed.get(ticker, ticker)


def identity(ticker: str) -> str:
    """Return what stays the same about a stock when its ticker changes: the first ticker that it had here.

    For a stock that has taken over the former ticker of another one, it is the ticker with the day of that change.
    """
    return _past.get().identities.get(ticker, ticker)


def was_split(ticker: str) -> bool:
    """Return whether a stock, given by today's ticker, was ever split here or is being split."""
    return ticker in _past.get().split


def forget() -> None:
    """Expire the cached splits and ticker changes, so that they are read again when they are next needed."""
    _past.expire()


@dataclass(frozen=True, slots=True)
class _Past:
    """What past splits and ticker changes mean today.

    Attributes:
        renamed: The current ticker of each ticker that is no longer used.
        split: The stocks that were split, by current ticker.
        identities: The result of `identity` for each ticker that was ever changed.
    """

    renamed: dict[str, str]
    split: frozenset[str]
    identities: dict[str, str]


def _read_past() -> _Past:
    changes = Q(kind=Kind.TICKER_CHANGE, state=State.DONE)
    splits = Q(kind=Kind.SPLIT, state__in=[State.APPLYING, State.DONE])
    rows = CorporateAction.objects.filter(changes | splits).order_by("-ex_date", "-done_at")
    renamed: dict[str, str] = {}
    split: set[str] = set()
    renamings: list[tuple[str, str, date]] = []
    for kind, old, new, day in rows.values_list("kind", "ticker", "new_ticker", "ex_date"):
        if kind == Kind.SPLIT:
            split.add(old)
        else:  # newest first, so that chains of changes lead to the current ticker
            renamed.setdefault(old, renamed.get(new, new))
            renamings.append((old, new, day))
    renamed = {old: new for old, new in renamed.items() if old != new and not _is_listed(old)}
    identities: dict[str, str] = {}
    for old, new, day in reversed(renamings):
        identities[new] = identities.get(old, old)
        identities[old] = identities[new] if old in renamed else f"{old} since {day}"
    return _Past(renamed, frozenset(renamed.get(ticker, ticker) for ticker in split), identities)


def _is_listed(ticker: str) -> bool:
    """Return whether a stock is listed under this ticker, such as another one that has taken it over."""
    return Stock.objects.filter(ticker=ticker, listed=True).exists()


_past: Cached[_Past] = Cached(_read_past, KNOWN_SECONDS_MAX)

RENAME_IN_WATCHLISTS = """
    UPDATE accounts_watchlist
    SET tickers = CASE WHEN %(new)s = ANY (tickers) THEN array_remove(tickers, %(old)s)
                       ELSE array_replace(tickers, %(old)s, %(new)s) END,
        updated_at = statement_timestamp()
    WHERE tickers @> ARRAY[%(old)s]::varchar[]
"""
