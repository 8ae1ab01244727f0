"""The endpoints for listings, prices, market hours and corporate actions."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

from exchange.simulator.announcement_store import AnnouncementStore
from exchange.simulator.app import Routes
from exchange.simulator.calendar import EASTERN, Hours, Nyse
from exchange.simulator.clock import Clock
from exchange.simulator.errors import Invalid, Problem, error
from exchange.simulator.faults import Faults
from exchange.simulator.formats import SECOND, format_money, format_time, parse_time, to_datetime
from exchange.simulator.listings import Listing
from exchange.simulator.market import Bar, Market, Quote
from exchange.simulator.parameters import Call, Query

QUOTES_MAX = 200
BARS_MAX = 1000
BARS_OF_MANY_MAX = 20_000
BARS_DEFAULT = 300
ALL_FIELDS, ENDS = "", "open,close"
CALENDAR_DAYS_MAX = 3660
PAGE_MAX = 1000
PAGE_DEFAULT = 100
DAY = 86_400 * SECOND

# The earliest time of a bar.
FIRST_TIME = parse_time("1990-01-01T00:00:00Z")


class MarketDataApi:
    """Answers calls about stocks, prices, market hours and corporate actions."""

    def __init__(self, market: Market, announcements: AnnouncementStore, clock: Clock, faults: Faults) -> None:
        self._market = market
        self._announcements = announcements
        self._clock = clock
        self._faults = faults
        hours = market.hours
        self._nyse: Hours = hours if isinstance(hours, Nyse) else Nyse()

    def routes(self) -> Routes:
        """Return the endpoints by path and method."""
        return {
            "/v1/quotes": {"GET": self.quotes},
            "/v1/quotes/": {"GET": self.quote},
            "/v1/bars": {"GET": self.bars_of_many},
            "/v1/bars/": {"GET": self.bars},
            "/v1/tickers": {"GET": self.tickers},
            "/v1/clock": {"GET": self.clock},
            "/v1/calendar": {"GET": self.calendar},
            "/v1/corporate-actions": {"GET": self.corporate_actions},
            "/healthz": {"GET": self.health},
        }

    # -- prices

    async def quote(self, call: Call) -> tuple[int, Any]:
        """Return the quote of one stock."""
        self._require_listed(call.name, call.at)
        return 200, _quote_json(self._market.quote(call.name, call.at))

    async def quotes(self, call: Call) -> tuple[int, Any]:
        """Return the quotes of many stocks."""
        listed, unknown = self._listed(call.query(), QUOTES_MAX, call.at)
        # The first quotes of a day compute its prices. Trades must not wait for that.
        quotes = await asyncio.to_thread(lambda: [self._market.quote(ticker, call.at) for ticker in listed])
        return 200, {"results": [_quote_json(quote) for quote in quotes], "unknown": unknown}

    async def bars(self, call: Call) -> tuple[int, Any]:
        """Return the bars of one stock over a period."""
        self._require_listed(call.name, call.at)
        start, end, step = _period(call.query(), call.at)
        bars = await asyncio.to_thread(self._bars, call.name, start, end, step, call.at)
        return 200, {"stockTicker": call.name, "step": step // SECOND, "results": bars}

    async def bars_of_many(self, call: Call) -> tuple[int, Any]:
        """Return the bars of many stocks over a period."""
        query = call.query()
        listed, unknown = self._listed(query, QUOTES_MAX, call.at)
        start, end, step = _period(query, call.at)
        if (end - start) / step * len(listed) > BARS_OF_MANY_MAX:
            raise Invalid([error("step", f"must make at most {BARS_OF_MANY_MAX} bars of all stocks together")])
        if query.text("fields", ALL_FIELDS) not in (ALL_FIELDS, ENDS):
            raise Invalid([error("fields", f"must be {ENDS} or left out")])
        bars = self._ends if query.text("fields") == ENDS else self._bars

        def results() -> list[dict[str, Any]]:
            return [{"stockTicker": ticker, "bars": bars(ticker, start, end, step, call.at)} for ticker in listed]

        return 200, {"step": step // SECOND, "results": await asyncio.to_thread(results), "unknown": unknown}

    def _bars(self, ticker: str, start: int, end: int, step: int, now: int) -> list[dict[str, Any]]:
        return [_bar_json(bar) for bar in self._market.bars(ticker, start, end, step, now)]

    def _ends(self, ticker: str, start: int, end: int, step: int, now: int) -> list[dict[str, Any]]:
        return [
            {"at": format_time(ends.at), "open": format_money(ends.open), "close": format_money(ends.close)}
            for ends in self._market.ends(ticker, start, end, step, now)
        ]

    def _listed(self, query: Query, maximum: int, at: int) -> tuple[list[str], list[str]]:
        """Return the requested tickers that are listed, and those that are not."""
        tickers, listed = query.tickers(maximum), self._market.listed(at)
        return [name for name in tickers if name in listed], [name for name in tickers if name not in listed]

    def _require_listed(self, ticker: str, at: int) -> None:
        if ticker not in self._market.listed(at):
            raise Problem(404, "unknown_ticker", "this ticker is not listed", about={"stockTicker": ticker})

    # -- listings and corporate actions

    async def tickers(self, call: Call) -> tuple[int, Any]:
        """Return the stocks that are listed now."""
        listed = self._market.listed(call.at)
        return 200, {"results": [_listing_json(listed[ticker]) for ticker in self._faults.shorten(list(listed))]}

    async def corporate_actions(self, call: Call) -> tuple[int, Any]:
        """Return a page of the corporate actions, in order of announcement."""
        query = call.query()
        after = query.number("after", 0, 0, 2**62)
        limit = query.number("limit", PAGE_DEFAULT, 1, PAGE_MAX)
        actions = self._announcements.actions(after, limit + 1)
        has_more = len(actions) > limit
        following = actions[limit - 1].sequence if has_more else None
        return 200, {"results": [action.as_json() for action in actions[:limit]], "next": following}

    # -- market hours

    async def clock(self, call: Call) -> tuple[int, Any]:
        """Return the exchange's time, whether the market is open, and the next open and close."""
        at, hours = call.at, self._market.hours
        times = {"nextOpen": hours.next_open(at), "nextClose": hours.next_close(at)}
        return 200, {
            "at": format_time(at),
            "isOpen": hours.is_open(at),
            "hours": hours.name,
            "offsetSeconds": self._clock.offset_seconds,
        } | {name: None if time is None else format_time(time) for name, time in times.items()}

    async def calendar(self, call: Call) -> tuple[int, Any]:
        """Return the trading days of the New York Stock Exchange, whatever this exchange's own hours are."""
        query, hours, nyse = call.query(), self._market.hours, self._nyse
        nyse.closures = hours.closures
        start = query.date("start", nyse.day_of(call.at))
        end = query.date("end", min(start, date(9990, 1, 1)) + timedelta(days=30))
        if not 0 <= (end - start).days <= CALENDAR_DAYS_MAX:
            raise Invalid([error("end", f"must be from start to {CALENDAR_DAYS_MAX} days after it")])
        return 200, {"hours": hours.name, "results": await asyncio.to_thread(_days, nyse, start, end)}

    async def health(self, call: Call) -> tuple[int, Any]:
        """Report that the process is up."""
        return 200, {"status": "ok"}


def _days(hours: Hours, start: date, end: date) -> list[dict[str, Any]]:
    """Return the trading days from start to end, inclusive."""
    sessions = (hours.session(start + timedelta(days=n)) for n in range((end - start).days + 1))
    return [
        {
            "date": session.day.isoformat(),
            "open": to_datetime(session.opens).astimezone(EASTERN).strftime("%H:%M"),
            "close": to_datetime(session.closes).astimezone(EASTERN).strftime("%H:%M"),
            "opensAt": format_time(session.opens),
            "closesAt": format_time(session.closes),
            "halfDay": session.half_day or session.closes < session.scheduled_close,
        }
        for session in sessions
        if session is not None
    ]


def _listing_json(listing: Listing) -> dict[str, str]:
    return {
        "stockTicker": listing.ticker,
        "name": listing.name,
        "exchange": listing.exchange,
        "industry": listing.industry,
    }


def _period(query: Query, now: int) -> tuple[int, int, int]:
    """Return start, end and step of the requested bars, in microseconds. Raises Invalid."""
    end = min(query.time("end", now), now)
    start = query.time("start", end - DAY)
    if not FIRST_TIME <= start < end:
        raise Invalid([error("start", f"must be before end and now, and not before {format_time(FIRST_TIME)}")])
    if "step" in query:
        step = query.number("step", 60, 1, 366 * 86_400) * SECOND
    else:
        points = query.number("points", BARS_DEFAULT, 1, BARS_MAX)
        step = -(-(end - start) // (points * SECOND)) * SECOND
    # Bars with the same step begin at the same times, whatever period is requested.
    start -= start % step
    if (end - start) / step > BARS_MAX + 1:
        raise Invalid([error("step", f"must make at most {BARS_MAX} bars of the time from start to end")])
    return start, end, step


def _quote_json(quote: Quote) -> dict[str, Any]:
    change = quote.price - quote.previous_close
    return {
        "stockTicker": quote.ticker,
        "price": format_money(quote.price),
        "at": format_time(quote.at),
        "open": format_money(quote.open),
        "high": format_money(quote.high),
        "low": format_money(quote.low),
        "previousClose": format_money(quote.previous_close),
        "change": format_money(change),
        "changePercent": f"{change * 100 / quote.previous_close:.2f}",
        "volume": quote.volume,
        "high52Weeks": format_money(quote.high_52_weeks),
        "low52Weeks": format_money(quote.low_52_weeks),
    }


def _bar_json(bar: Bar) -> dict[str, Any]:
    return {
        "at": format_time(bar.at),
        "open": format_money(bar.open),
        "high": format_money(bar.high),
        "low": format_money(bar.low),
        "close": format_money(bar.close),
        "volume": bar.volume,
    }
