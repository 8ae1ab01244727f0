"""The listed stocks and their prices: pure functions of ticker and time, so that quotes, charts and fills agree.

Prices are adjusted for the splits up to the time of the call: from the ex-date on, all prices are divided, including
those of earlier days.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from exchange.simulator.calendar import Closure, Hours, Session
from exchange.simulator.corporate_actions import CorporateAction
from exchange.simulator.day_path import CENT, DOLLAR
from exchange.simulator.formats import SECOND
from exchange.simulator.listings import Listing, Listings
from exchange.simulator.prices import Prices
from exchange.simulator.series import read_series

DATA = Path(__file__).parent / "data"


class Quote(NamedTuple):
    """A stock's last price and its trading day so far. Money is in units of 1/10,000 USD, volume in shares."""

    ticker: str
    price: int
    # The time of the last price: while the market is closed, that of the last close.
    at: int
    open: int
    high: int
    low: int
    previous_close: int
    volume: int
    high_52_weeks: int
    low_52_weeks: int


class Bar(NamedTuple):
    """The prices and the volume of a period that begins at `at`."""

    at: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class Ends(NamedTuple):
    """The first and the last price of a period that begins at `at`."""

    at: int
    open: int
    close: int


class Market:
    """The prices of all listed stocks at any time. Methods raise KeyError if a ticker is not listed at that time."""

    def __init__(self, hours: Hours, actions: Iterable[CorporateAction] = ()) -> None:
        with open(DATA / "listings.csv", newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        self.hours = hours
        self.listings = Listings(map(_listing, rows), actions)
        days = {row["stockTicker"]: int(row["days"]) for row in rows}
        self.prices = Prices(hours, read_series(DATA / "prices.xz", days))
        self._latest: dict[str, tuple[int, int]] = {}

    def listed(self, time: int) -> dict[str, Listing]:
        """Return the stocks listed at a time, by ticker. They change when a session opens."""
        return self.listings.on(self.hours.session_at(time).day)

    def announce(self, action: CorporateAction) -> None:
        """Add a corporate action that `listings.check` has accepted."""
        self.listings.add(action)
        self._latest.clear()

    def set_closures(self, closures: Iterable[Closure]) -> None:
        """Replace all closures."""
        self.hours.closures = {closure.day: closure for closure in closures}
        self.prices.closures_changed()
        self._latest.clear()

    def split_between(self, ticker: str, after: int, until: int) -> CorporateAction | None:
        """Return the first split of a stock that took effect between two times; None if none did."""
        return self.listings.split_between(ticker, self.hours.session_at(after).day, self.hours.session_at(until).day)

    def reference_price(self, action: CorporateAction, time: int) -> int | None:
        """Return the price of a share at a time, for a split that of a new share; None if the action needs no price."""
        if action.kind not in ("SPLIT", "DELISTING") or action.ticker not in self.listed(time):
            return None
        return _scaled(self.price(action.ticker, time), Fraction(action.numerator or 1, action.denominator or 1))

    def price(self, ticker: str, time: int) -> int:
        """Return the price of a share at a time, to the second; while the market is closed, the last close."""
        second = time // SECOND
        latest = self._latest.get(ticker)
        if latest is not None and latest[0] == second:
            return latest[1]
        session, stock = self._find(ticker, time)
        price = _scaled(self.prices.last(stock.series, session, time), stock.split_factor)
        self._latest[ticker] = (second, price)
        return price

    def quote(self, ticker: str, time: int) -> Quote:
        """Return the quote of a stock; its day is the current session or, while the market is closed, the last one."""
        session, stock = self._find(ticker, time)
        before = self.hours.session_at(session.opens - 1)
        today = self.prices.candle(stock.series, session, time)
        high, low = self.prices.year(stock.series, session)
        price = self.prices.last(stock.series, session, time)
        factor = stock.split_factor
        return Quote(
            ticker=ticker,
            price=_scaled(price, factor),
            at=min(time, session.closes),
            open=_scaled(today.open, factor),
            high=_scaled(today.high, factor),
            low=_scaled(today.low, factor),
            previous_close=_scaled(self.prices.candle(stock.series, before, before.closes).close, factor),
            volume=round(self.prices.volume(stock.series, session, time) * factor),
            high_52_weeks=_scaled(max(high, today.high), factor),
            low_52_weeks=_scaled(min(low, today.low), factor),
        )

    def bars(self, ticker: str, start: int, end: int, step: int, now: int) -> list[Bar]:
        """Return bars of `step` microseconds from `start` to `end`, adjusted for splits up to `now`.

        Periods in which the market was closed are omitted. Open and close are exact, as are the high and the low of
        whole sessions. The high and the low of part of a session are those of about ten points.
        """
        stock = self.listed(now)[ticker]
        bars = []
        for at in range(start, end, step):
            traded = self.prices.traded(stock.series, at, min(at + step, end))
            if traded is not None:
                open_price, high, low, close = (_scaled(price, stock.split_factor) for price in traded[:4])
                bars.append(Bar(at, open_price, high, low, close, round(traded.volume * stock.split_factor)))
        return bars

    def ends(self, ticker: str, start: int, end: int, step: int, now: int) -> list[Ends]:
        """Return only the first and the last price of each bar, which takes less time than `bars`."""
        stock = self.listed(now)[ticker]
        ends = []
        for at in range(start, end, step):
            prices = self.prices.ends(stock.series, at, min(at + step, end))
            if prices is not None:
                ends.append(Ends(at, *(_scaled(price, stock.split_factor) for price in prices)))
        return ends

    def _find(self, ticker: str, time: int) -> tuple[Session, Listing]:
        session = self.hours.session_at(time)
        return session, self.listings.on(session.day)[ticker]


def _listing(row: dict[str, str]) -> Listing:
    return Listing(row["stockTicker"], row["name"], row["exchange"], row["industry"], series=row["stockTicker"])


def _scaled(price: int, split_factor: Fraction) -> int:
    """Return a price adjusted for splits, rounded to the tick size and never zero."""
    if split_factor == 1:
        return price
    exact = price / split_factor
    tick = CENT if exact >= DOLLAR else 1
    return max(1, round(exact / tick) * tick)
