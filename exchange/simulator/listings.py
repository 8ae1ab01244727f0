"""Tell which stocks are listed on a day, by which ticker, and how their shares have been split since the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from exchange.simulator.corporate_actions import CorporateAction
from exchange.simulator.errors import Invalid, Problem, error


class Listing(NamedTuple):
    """A stock that trades here."""

    ticker: str
    name: str
    exchange: str
    industry: str
    # The ticker under which its prices are kept, whatever it is called now.
    series: str
    # Shares that one share of the beginning has become.
    split_factor: Fraction = Fraction(1)


class Listings:
    """The listed stocks of each day: those of the beginning, and the corporate actions up to that day."""

    def __init__(self, stocks: Iterable[Listing], actions: Iterable[CorporateAction] = ()) -> None:
        self._stocks = {stock.ticker: stock for stock in stocks}
        self._actions = sorted(actions, key=_order)
        self._days = lru_cache(maxsize=64)(self._replay)

    def on(self, day: date) -> dict[str, Listing]:
        """What is listed on that day, by ticker."""
        # All days between two ex-dates are alike, so that one entry of the cache serves them.
        return self._days(max((action.ex_date for action in self._actions if action.ex_date <= day), default=None))

    def check(self, action: CorporateAction, today: date) -> None:
        """Check that an announcement fits those before it, and what has been traded since.

        Args:
            today: the current trading day. Only a dividend may have an ex-date before it.
        Raises:
            Invalid: its ex-date is past, its stock is not listed on that day, or its new ticker is.
            Problem: 409; it would take away the stock of another announcement.
        """
        if action.kind != "CASH_DIVIDEND" and action.ex_date < today:
            raise Invalid([error("exDate", f"must not be before {today.isoformat()}, the exchange's trading day")])
        listed = dict(self._stocks)
        for one in sorted([*self._actions, action], key=_order):
            problem = _apply(one, listed)
            if problem is None:
                continue
            if one is action:
                raise Invalid([problem])
            detail = f"action {one.action_id} with ex-date {one.ex_date} would lose its stock {one.ticker}"
            raise Problem(409, "conflict", detail)

    def add(self, action: CorporateAction) -> None:
        """Take an announcement in that has been checked."""
        self._actions = sorted([*self._actions, action], key=_order)
        self._days.cache_clear()

    def split_between(self, ticker: str, after: date, until: date) -> CorporateAction | None:
        """The split of a stock that took effect after one day and not after another, or None."""
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
    # An announcement that has no sequence yet comes last.
    return action.ex_date, action.sequence or 2**63


def _apply(action: CorporateAction, listed: dict[str, Listing]) -> dict[str, str] | None:
    """Change what is listed. Returns what is wrong where that is not possible; then nothing changes."""
    stock = listed.get(action.ticker)
    if stock is None:
        return error("stockTicker", f"{action.ticker} is not listed on {action.ex_date}", "unknown_ticker")
    if action.kind == "SPLIT":
        factor = stock.split_factor * Fraction(action.numerator or 1, action.denominator or 1)
        listed[action.ticker] = stock._replace(split_factor=factor)
    elif action.kind == "TICKER_CHANGE" and action.new_ticker is not None:
        if action.new_ticker in listed:
            return error("newTicker", f"{action.new_ticker} is listed already on {action.ex_date}")
        del listed[action.ticker]
        listed[action.new_ticker] = stock._replace(ticker=action.new_ticker)
    elif action.kind == "DELISTING":
        del listed[action.ticker]
    return None
