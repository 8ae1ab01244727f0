"""The stocks listed on a day, their tickers, and the splits of their shares since the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from exchange.simulator.corporate_actions import CorporateAction
from exchange.simulator.errors import Invalid, Problem, error


class Listing(NamedTuple):
    """A stock that is listed on the exchange."""

    ticker: str
    name: str
    exchange: str
    industry: str
    # The key of its prices: its ticker at the beginning, before any ticker change.
    series: str
    # How many shares one share of the beginning has become.
    split_factor: Fraction = Fraction(1)


class Listings:
    """The listed stocks of each day: the initial ones, changed by the corporate actions up to that day."""

    def __init__(self, stocks: Iterable[Listing], actions: Iterable[CorporateAction] = ()) -> None:
        self._stocks = {stock.ticker: stock for stock in stocks}
        self._actions = sorted(actions, key=_order)
        self._days = lru_cache(maxsize=64)(self._replay)

    def on(self, day: date) -> dict[str, Listing]:
        """Return the stocks that are listed on a day, by ticker."""
        # Nothing changes between two ex-dates, so these days share one entry of the cache.
        return self._days(max((action.ex_date for action in self._actions if action.ex_date <= day), default=None))

    def check(self, action: CorporateAction, today: date) -> None:
        """Check that an announcement is consistent with the earlier ones and with past trading.

        Args:
            action: The new announcement.
            today: The current trading day. Only a dividend may have an ex-date before it.

        Raises:
            Invalid: Its ex-date is past, or on that day its stock is not listed or its new ticker is.
            Problem: 409: it would delist the stock of another announcement before that takes effect.
        """
        if action.kind != "CASH_DIVIDEND" and action.ex_date < today:
            raise Invalid([error("exDate", f"must not be before {today.isoformat()}, the exchange's trading day")])
        listed = dict(self._stocks)
        for announced in sorted([*self._actions, action], key=_order):
            problem = _apply(announced, listed)
            if problem is None:
                continue
            if announced is action:
                raise Invalid([problem])
            subject = f"action {announced.action_id} with ex-date {announced.ex_date}"
            detail = f"{subject} would lose its stock {announced.ticker}"
            raise Problem(409, "conflict", detail)

    def add(self, action: CorporateAction) -> None:
        """Add an announcement that `check` has accepted."""
        self._actions = sorted([*self._actions, action], key=_order)
        self._days.cache_clear()

    def split_between(self, ticker: str, after: date, until: date) -> CorporateAction | None:
        """Return the first split of a stock with an ex-date after one day, and no later than another; None if none."""
        for action in self._actions:
            if action.kind == "SPLIT" and action.ticker == ticker and after < action.ex_date <= until:
                return action
        return None

    def _replay(self, until: date | None) -> dict[str, Listing]:
        listed = dict(self._stocks)
        for action in self._actions:
            if until is not None and action.ex_date <= until:
                _apply(action, listed)
        return listed


def _order(action: CorporateAction) -> tuple[date, int]:
    # An announcement without a sequence number is the newest.
    return action.ex_date, action.sequence or 2**63


def _apply(action: CorporateAction, listed: dict[str, Listing]) -> dict[str, str] | None:
    """Apply an action to the listed stocks; if that is not possible, change nothing and return the error."""
    stock = listed.get(action.ticker)
    if stock is None:
        return error("stockTicker", f"{action.ticker} is not listed on {action.ex_date}", "unknown_ticker")
    if action.kind == "SPLIT":
        factor = stock.split_factor * Fraction(action.numerator or 1, action.denominator or 1)
        listed[action.ticker] = stock._replace(split_factor=factor)
    elif action.kind == "TICKER_CHANGE" and action.new_ticker is not None:
        if action.new_ticker in listed:
            return error("newTicker", f"{action.new_ticker} is already listed on {action.ex_date}")
        del listed[action.ticker]
        listed[action.new_ticker] = stock._replace(ticker=action.new_ticker)
    elif action.kind == "DELISTING":
        del listed[action.ticker]
    return None
