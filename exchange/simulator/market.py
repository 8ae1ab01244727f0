"""Tell what is listed and what it costs: a pure function of ticker and time, so that quotes, charts and fills agree.

Prices are in the shares of the day on which they are asked for: from the ex-date of a split on, all prices are divided,
those of earlier days too.
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
    """A stock's last price and its day so far. Money in units of 1/10,000 USD, volume in shares."""

    ticker: str
    price: int
    # The time of the last price: while the market is closed, the last close.
    at: int
    open: int
    high: int
    low: int
    previous_close: int
    volume: int
    high_52_weeks: int
    low_52_weeks: int


class Bar(NamedTuple):
    """The prices and the volume of a period that starts at `at`."""

    at: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class Ends(NamedTuple):
    """The first and the last price of a period that starts at `at`."""

    at: int
    open: int
    close: int


class Market:
    """Every listed stock's price at any time. Methods raise KeyError for a ticker that is not listed then."""

    def __init__(self, hours: Hours, actions: Iterable[CorporateAction] = ()) -> None:
        with open(DATA / "listings.csv", newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        self.hours = hours
        self.listings = Listings(map(_listing, rows), actions)
        days = {row["stockTicker"]: int(row["days"]) for row in rows}
        self.prices = Prices(hours, read_series(DATA / "prices.xz", days))
        self._latest: dict[str, tuple[int, int]] = {}

    def listed(self, time: int) -> dict[str, Listing]:
        """What is listed at that time, by ticker. It changes when a session opens."""
        return self.listings.on(self.hours.session_at(time).day)

    def announce(self, action: CorporateAction) -> None:
        """Take in a corporate action that `listings.check` has let pass."""
        self.listings.add(action)
        self._latest.clear()

    def set_closures(self, closures: Iterable[Closure]) -> None:
        """Put these closures in the place of those before."""
        self.hours.closures = {closure.day: closure for closure in closures}
        self.prices.closures_changed()
        self._latest.clear()

    def split_between(self, ticker: str, after: int, until: int) -> CorporateAction | None:
        """The split of a stock that took effect after one time and not after another, or None."""
        return self.listings.split_between(ticker, self.hours.session_at(after).day, self.hours.session_at(until).day)

    def reference_price(self, action: CorporateAction, time: int) -> int | None:
        """What one share is worth at that time, after a split in new shares; None where the action needs no price."""
        if action.kind not in ("SPLIT", "DELISTING") or action.ticker not in self.listed(time):
            return None
        return _scaled(self.price(action.ticker, time), Fraction(action.numerator or 1, action.denominator or 1))

    def price(self, ticker: str, time: int) -> int:
        """The price of one share at that time, constant within a second; while closed, the last close."""
        second = time // SECOND
        latest = self._latest.get(ticker)
        if latest is not None and latest[0] == second:
            return latest[1]
        session, stock = self._find(ticker, time)
        price = _scaled(self.prices.last(stock.series, session, time), stock.split_factor)
        self._latest[ticker] = (second, price)
        return price

    def quote(self, ticker: str, time: int) -> Quote:
        """A stock's last price and its day so far: the session that the time is in or, while closed, the last one."""
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
        """Bars of `step` microseconds from `start` up to `end`, in shares of now; closed periods are left out.

        Open and close are exact, and so are high and low of whole sessions; of parts of one, high and low are those of
        about ten points.
        """
        stock = self.listed(now)[ticker]
        found = []
        for at in range(start, end, step):
            traded = self.prices.traded(stock.series, at, min(at + step, end))
            if traded is not None:
                open_, high, low, close = (_scaled(price, stock.split_factor) for price in traded[:4])
                found.append(Bar(at, open_, high, low, close, round(traded.volume * stock.split_factor)))
        return found

    def ends(self, ticker: str, start: int, end: int, step: int, now: int) -> list[Ends]:
        """What `bars` says of the first and the last price of each period, and nothing else: found in less time."""
        stock = self.listed(now)[ticker]
        found = []
        for at in range(start, end, step):
            prices = self.prices.ends(stock.series, at, min(at + step, end))
            if prices is not None:
                found.append(Ends(at, *(_scaled(price, stock.split_factor) for price in prices)))
        return found

    def _find(self, ticker: str, time: int) -> tuple[Session, Listing]:
        session = self.hours.session_at(time)
        return session, self.listings.on(session.day)[ticker]


def _listing(row: dict[str, str]) -> Listing:
    return Listing(row["stockTicker"], row["name"], row["exchange"], row["industry"], series=row["stockTicker"])


def _scaled(price: int, split_factor: Fraction) -> int:
    """A price in shares of the beginning as one in shares after the splits, rounded to its tick, and never zero."""
    if split_factor == 1:
        return price
    exact = price / split_factor
    tick = CENT if exact >= DOLLAR else 1
    return max(1, round(exact / tick) * tick)
