"""The exchange's HTTP interface, an RSGI application: translates in, makes one call, translates out."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import structlog
from granian.rsgi import HTTPProtocol, Scope

from exchange.simulator.book import Book
from exchange.simulator.calendar import EASTERN, Hours, Nyse
from exchange.simulator.callbacks import Callbacks
from exchange.simulator.faults import Faults, InvalidFaults
from exchange.simulator.market import Listing, Market
from exchange.simulator.notation import SECOND, money, now, parse_moment, rfc3339, to_datetime
from exchange.simulator.store import Store, record, report
from exchange.simulator.terms import Invalid, error, read_request

log = structlog.get_logger("exchange.app")

BODY_BYTES_MAX = 262_144
PAGE_MAX = 1000
PAGE_DEFAULT = 100
QUOTES_MAX = 200
BARS_MAX = 1000
BARS_DEFAULT = 300
CALENDAR_DAYS_MAX = 3660
DAY = 86_400 * SECOND

#: A call that a fault has lost is answered 503 after this, where its caller is still there.
LOST_ANSWER_SECONDS = 60.0

#: Charts go back no further.
FIRST_MOMENT = parse_moment("1990-01-01T00:00:00Z")

_JSON = [("content-type", "application/json")]

Query = dict[str, list[str]]


class Answer(Exception):
    """An answer that is not 2xx."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.body = {"status": status, "code": code, "detail": detail, "errors": errors or []}


class App:
    """Answers each call. No input is answered with a 500, unless a fault says so."""

    def __init__(self, store: Store, book: Book, market: Market, callbacks: Callbacks, faults: Faults) -> None:
        self._store = store
        self._book = book
        self._market = market
        self._callbacks = callbacks
        self._faults = faults
        self._nyse: Hours = market.hours if isinstance(market.hours, Nyse) else Nyse()
        self._tickers = {"results": [_listing(listing) for listing in market.listings.values()]}
        self._reads: dict[str, Callable[[Query], Awaitable[Any]]] = {
            "/v1/trades": self._page,
            "/v1/quotes": self._quotes,
            "/v1/tickers": self._list,
            "/v1/clock": self._clock,
            "/v1/calendar": self._calendar,
            "/healthz": self._health,
        }
        self._reads_one: dict[str, Callable[[str, Query], Awaitable[Any]]] = {
            "/v1/trades/": self._trade,
            "/v1/quotes/": self._quote_one,
            "/v1/bars/": self._bars,
        }

    async def __rsgi__(self, scope: Scope, proto: HTTPProtocol) -> None:
        try:
            found = await self._answer(scope, proto)
            if found is None:
                return
            status, body, headers = *found, _JSON
        except Exception as failure:  # noqa: BLE001 - whatever went wrong is answered in JSON
            answer = _failed(failure, scope)
            status, body, headers = answer.status, answer.body, [*_JSON, *answer.headers]
        proto.response_bytes(status, headers, json.dumps(body, separators=(",", ":")).encode())

    async def _answer(self, scope: Scope, proto: HTTPProtocol) -> tuple[int, Any] | None:
        """Status and body; None where nothing is to be answered."""
        method, path = scope.method, scope.path
        if path == "/v1/faults":
            return 200, await self._change_faults(method, scope, proto)
        if self._faults.down:
            raise Answer(503, "down", "the exchange is down", headers=(("retry-after", "1"),))
        if path == "/v1/trades" and method == "POST":
            return await self._execute(scope, proto)
        allowed = ["GET", "POST"] if path == "/v1/trades" else ["GET"]
        if path in self._reads:
            _require(method, allowed)
            return 200, await self._reads[path](_query(scope))
        folder, _, name = path.rpartition("/")
        if name and (read := self._reads_one.get(folder + "/")):
            _require(method, allowed)
            return 200, await read(unquote(name), _query(scope))
        raise Answer(404, "not_found", "there is nothing at this path")

    async def _execute(self, scope: Scope, proto: HTTPProtocol) -> tuple[int, Any] | None:
        request = read_request(await _body(scope, proto))
        if self._faults.happens("executeErrorRate"):
            raise Answer(500, "internal_error", "the exchange failed; nothing was stored")
        if self._faults.happens("executeLostRate"):
            await _until_gone(proto, LOST_ANSWER_SECONDS)
            raise Answer(503, "lost", "the exchange lost this call; nothing was stored")
        results = await self._book.take(request)
        if self._faults.happens("executeNoAnswerRate"):
            await _until_gone(proto, None)
            return None
        hold = self._faults.duration("holdAnswerMs")
        if hold:
            await asyncio.sleep(hold / SECOND)
        return 202, {"results": results}

    async def _change_faults(self, method: str, scope: Scope, proto: HTTPProtocol) -> Any:
        _require(method, ["GET", "PUT", "DELETE"])
        if method == "PUT":
            changes = await _body(scope, proto)
            if not isinstance(changes, dict):
                raise Answer(422, "invalid", "must be a JSON object", [error("", "must be a JSON object")])
            self._faults.set(changes)
        elif method == "DELETE":
            self._faults.clear()
        if method != "GET":
            log.info("faults", **{name: value for name, value in self._faults.as_json().items() if value})
            self._book.wake()
            self._callbacks.wake()
        return self._faults.as_json()

    async def _trade(self, trade_id: str, query: Query) -> Any:
        order = self._store.find(trade_id)
        if order is None:
            raise Answer(404, "not_found", "the exchange does not know this trade")
        await self._store.committed()
        return report(order)

    async def _page(self, query: Query) -> Any:
        after = _number(query, "after", 0, 0, 2**62)
        limit = _number(query, "limit", PAGE_DEFAULT, 1, PAGE_MAX)
        orders = self._store.page(after, limit + 1)
        await self._store.committed()
        more = len(orders) > limit
        return {
            "results": [record(order) for order in orders[:limit]],
            "next": orders[limit - 1].sequence if more else None,
        }

    async def _quote_one(self, ticker: str, query: Query) -> Any:
        if ticker not in self._market.listings:
            raise Answer(404, "unknown_ticker", "this ticker is not listed")
        return self._quote(ticker, now())

    async def _quotes(self, query: Query) -> Any:
        tickers = list(dict.fromkeys(_text(query, "tickers", "").split(",")))
        if tickers == [""] or len(tickers) > QUOTES_MAX:
            raise Invalid([error("tickers", f"must be 1 to {QUOTES_MAX} tickers with commas between them")])
        at = now()
        return {
            "results": [self._quote(ticker, at) for ticker in tickers if ticker in self._market.listings],
            "unknown": [ticker for ticker in tickers if ticker not in self._market.listings],
        }

    def _quote(self, ticker: str, at: int) -> dict[str, Any]:
        price, before = self._market.price(ticker, at), self._market.previous_close(ticker, at)
        return {
            "stockTicker": ticker,
            "price": money(price),
            "at": rfc3339(at),
            "open": money(self._market.candle(ticker, self._market.session_at(at)).open),
            "previousClose": money(before),
            "change": money(price - before),
            "changePercent": f"{(price - before) * 100 / before:.2f}",
        }

    async def _bars(self, ticker: str, query: Query) -> Any:
        if ticker not in self._market.listings:
            raise Answer(404, "unknown_ticker", "this ticker is not listed")
        latest = now()
        end = min(_moment(query, "end", latest), latest)
        start = _moment(query, "start", end - DAY)
        if not FIRST_MOMENT <= start < end:
            raise Invalid([error("start", f"must be before end and now, and not before {rfc3339(FIRST_MOMENT)}")])
        if "step" in query:
            step = _number(query, "step", 60, 1, 366 * 86_400) * SECOND
        else:
            points = _number(query, "points", BARS_DEFAULT, 1, BARS_MAX)
            step = -(-(end - start) // (points * SECOND)) * SECOND
        # Bars of equal steps begin at equal moments, whatever period is asked for.
        start -= start % step
        if (end - start) / step > BARS_MAX + 1:
            raise Invalid([error("step", f"must make at most {BARS_MAX} bars of the time from start to end")])
        bars = await asyncio.to_thread(self._market.bars, ticker, start, end, step)
        return {
            "stockTicker": ticker,
            "step": step // SECOND,
            "results": [
                {"at": rfc3339(bar.at), "open": money(bar.open), "high": money(bar.high)}
                | {"low": money(bar.low), "close": money(bar.close)}
                for bar in bars
            ],
        }

    async def _list(self, query: Query) -> Any:
        return self._tickers

    async def _clock(self, query: Query) -> Any:
        at, hours = now(), self._market.hours
        moments = {"nextOpen": hours.next_open(at), "nextClose": hours.next_close(at)}
        return {"at": rfc3339(at), "isOpen": hours.is_open(at), "hours": hours.name} | {
            name: None if moment is None else rfc3339(moment) for name, moment in moments.items()
        }

    async def _calendar(self, query: Query) -> Any:
        start = _date(query, "start", self._nyse.day_of(now()))
        end = _date(query, "end", min(start, date(9990, 1, 1)) + timedelta(days=30))
        if not 0 <= (end - start).days <= CALENDAR_DAYS_MAX:
            raise Invalid([error("end", f"must be from start to {CALENDAR_DAYS_MAX} days after it")])
        return {
            "hours": self._market.hours.name,
            "results": await asyncio.to_thread(_days, self._nyse, start, end),
        }

    async def _health(self, query: Query) -> Any:
        return {"status": "ok"}


def _failed(failure: Exception, scope: Scope) -> Answer:
    """The answer to a call that went wrong."""
    if isinstance(failure, Answer):
        return failure
    if isinstance(failure, Invalid | InvalidFaults):
        return Answer(422, "invalid", _summary(failure.errors), failure.errors)
    if isinstance(failure, sqlite3.Error):
        log.error("record_not_available", error=str(failure))
        words = "the exchange can't write its record at the moment"
        return Answer(503, "record_not_available", words, headers=(("retry-after", "1"),))
    log.error("unexpected", method=scope.method, path=scope.path, exc_info=failure)
    return Answer(500, "internal_error", "something unexpected went wrong inside the exchange")


def _days(hours: Hours, start: date, end: date) -> list[dict[str, Any]]:
    """The New York Stock Exchange's trading days from start to end, both included."""
    sessions = (hours.session(start + timedelta(days=n)) for n in range((end - start).days + 1))
    return [
        {
            "date": session.day.isoformat(),
            "open": to_datetime(session.opens).astimezone(EASTERN).strftime("%H:%M"),
            "close": to_datetime(session.closes).astimezone(EASTERN).strftime("%H:%M"),
            "opensAt": rfc3339(session.opens),
            "closesAt": rfc3339(session.closes),
            "halfDay": session.half_day,
        }
        for session in sessions
        if session is not None
    ]


def _listing(listing: Listing) -> dict[str, str]:
    return {
        "stockTicker": listing.ticker,
        "name": listing.name,
        "exchange": listing.exchange,
        "industry": listing.industry,
    }


async def _body(scope: Scope, proto: HTTPProtocol) -> Any:
    """The JSON body of a call. Raises Answer when it is too large or no JSON."""
    length = scope.headers.get("content-length")
    too_large = Answer(
        413, "too_large", f"a body has at most {BODY_BYTES_MAX} bytes", headers=(("connection", "close"),)
    )
    if length is not None:
        if int(length) > BODY_BYTES_MAX:
            raise too_large
        body = await proto()
    else:
        body = b""
        async for chunk in proto:
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise too_large
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as wrong:
        raise Answer(400, "not_json", "the body must be JSON in UTF-8") from wrong


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


async def _until_gone(proto: HTTPProtocol, seconds: float | None) -> None:
    """Wait until the caller has given up, or so long."""
    with suppress(TimeoutError):
        await asyncio.wait_for(proto.client_disconnect(), seconds)


def _require(method: str, allowed: list[str]) -> None:
    if method not in allowed:
        allow = ", ".join(allowed)
        raise Answer(405, "method_not_allowed", f"this path takes {allow}", headers=(("allow", allow),))


def _summary(errors: list[dict[str, str]]) -> str:
    return "; ".join(f"{entry['field']} {entry['detail']}".strip() for entry in errors[:3])


def _query(scope: Scope) -> Query:
    if not scope.query_string:
        return {}
    try:
        return parse_qs(scope.query_string, keep_blank_values=True, max_num_fields=50)
    except ValueError as wrong:
        raise Answer(400, "invalid", "the query string has too many fields") from wrong


def _text(query: Query, name: str, default: str) -> str:
    return query[name][-1] if name in query else default


def _number(query: Query, name: str, default: int, least: int, most: int) -> int:
    text = _text(query, name, str(default))
    if not re.fullmatch(r"\d{1,19}", text, re.ASCII) or not least <= int(text) <= most:
        raise Invalid([error(name, f"must be a whole number from {least} to {most}")])
    return int(text)


def _moment(query: Query, name: str, default: int) -> int:
    if name not in query:
        return default
    try:
        # An unescaped plus of an offset arrives as a space.
        return parse_moment(re.sub(r" (?=\d\d:\d\d$)", "+", query[name][-1]))
    except ValueError as wrong:
        raise Invalid([error(name, str(wrong))]) from wrong


def _date(query: Query, name: str, default: date) -> date:
    text = _text(query, name, default.isoformat())
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) and "1900" <= text[:4] <= "2100":
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid([error(name, 'must be a date such as "2026-11-27", from 1900 to 2100')])
