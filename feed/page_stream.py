"""The stream of a page: it rings when something moved in the account, and tells the prices of the stocks on the page.

A ring carries nothing of the account: the page asks `web` for what it shows. However many pages are open, a process
asks for prices and for new postings once each PULSE_SECONDS.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import structlog
from django.db import connection as database

from accounts import page_tickets
from exchange import market, prices
from exchange.prices import Quote
from feed import reader
from feed.hub import Connection, Hub, TooManyConnections
from feed.reader import Event
from feed.stream import (
    HEARTBEAT_SECONDS,
    RECONNECT_MS,
    WRITE_SECONDS_MAX,
    Database,
    Receive,
    RequestRefused,
    Scope,
    Send,
    address_of,
    answer,
    encoded,
    gone,
    until_over,
    within,
)
from web import rate_limits
from web.problems import problem

PULSE_SECONDS = 1.0
LOADING_SECONDS_MAX = 5.0  # between the making of a page and its stream; one that took longer asks again by itself
TICKERS_MAX = 200  # of one page

log = structlog.get_logger()


class Page:
    """An open page: whose it is, which stocks it shows, and what it was told last."""

    def __init__(self, customer_id: int, tickers: Iterable[str], newest_posting: int) -> None:
        self.customer_id = customer_id
        self.tickers = frozenset(tickers)
        self._told: dict[str, Quote] = {}
        self._posting = newest_posting

    def news(self, quotes: dict[str, Quote], postings: dict[int, int]) -> bytes:
        """Return what the page has not been told yet, as events; empty if there is nothing."""
        moved = {
            ticker: quotes[ticker]
            for ticker in self.tickers & quotes.keys()
            if ticker not in self._told or self._told[ticker].price != quotes[ticker].price
        }
        self._told |= moved
        newest = max(self._posting, postings.get(self.customer_id, 0))
        rung = RING if newest > self._posting else b""
        self._posting = newest
        told = {ticker: str(quote.price) for ticker, quote in moved.items()}
        return rung + (_event("prices", told) if told else b"")


class Pulse:
    """What all open pages of a process have in common: prices, and the newest posting of each customer."""

    def __init__(self) -> None:
        self._pages: set[Page] = set()
        self._thread = ThreadPoolExecutor(1, "pulse")
        self._task: asyncio.Task[None] | None = None
        self.quotes: dict[str, Quote] = {}
        self.postings: dict[int, int] = {}

    @contextlib.contextmanager
    def watching(self, page: Page) -> Iterator[None]:
        """Read for a page while the context is open."""
        self._pages.add(page)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._beat())
        try:
            yield
        finally:
            self._pages.discard(page)

    def close(self) -> None:
        """Close the thread and its connection to the database."""
        self._thread.submit(lambda: database.close()).result()  # that thread's own connection
        self._thread.shutdown()

    async def _beat(self) -> None:
        while self._pages:
            tickers = frozenset[str]().union(*(page.tickers for page in self._pages))
            customers = {page.customer_id for page in self._pages}
            try:
                self.quotes, self.postings = await asyncio.get_running_loop().run_in_executor(
                    self._thread, _look, tickers, customers
                )
            except Exception as error:  # noqa: BLE001 — looked at again in a moment
                log.warning("pages: prices and postings could not be read; they will be soon", error=repr(error))
            await asyncio.sleep(PULSE_SECONDS)


def _look(tickers: frozenset[str], customers: set[int]) -> tuple[dict[str, Quote], dict[int, int]]:
    try:
        with database.cursor() as cursor:
            cursor.execute(NEWEST_POSTINGS, [list(customers)])
            postings = dict(cursor.fetchall())
    except Exception:
        database.close()
        raise
    return prices.quotes(tickers), postings


class PageStream:
    """The ASGI application behind `GET /pages/stream`."""

    def __init__(self, hub: Hub, database: Database) -> None:
        self._hub, self._database, self._pulse = hub, database, Pulse()

    def close(self) -> None:
        """Close the thread and its connection to the database."""
        self._pulse.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            body = problem(405, "method_not_allowed", "A page's stream is read with GET.")
            await answer(send, 405, body, {"Allow": "GET"})
            return
        try:
            with self._hub.connection(address_of(scope)) as connection:
                await self._serve(connection, scope, receive, send)
        except TooManyConnections:
            await answer(send, 429, problem(429, "too_many_streams", "Too many pages are open."), {"Retry-After": "15"})
        except RequestRefused as refused:
            await answer(send, refused.status, problem(refused.status, refused.code, refused.detail), refused.headers)

    async def _serve(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            RequestRefused, TooManyConnections: Nothing has been sent.
        """
        query = parse_qs(scope["query_string"].decode("latin-1"))
        ticket = query.get("ticket", [""])[-1]
        grant = await self._database.run(_authorize, ticket, connection.address)
        start = await self._database.run(reader.now)
        newest, has_just_moved = await self._database.run(_newest, grant.customer_id)
        connection.admit(grant)
        asked = query.get("tickers", [""])[-1].split(",")
        tickers = [ticker for ticker in asked if market.TICKER.fullmatch(ticker)][:TICKERS_MAX]
        fields = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            # The ticket is what lets a page in, wherever the page comes from: no cookie is asked for.
            "Access-Control-Allow-Origin": "*",
        }
        await send({"type": "http.response.start", "status": 200, "headers": encoded(fields)})
        page = Page(grant.customer_id, tickers, newest)
        first = RING if has_just_moved else b""
        await until_over(self._write(connection, page, start, first, send), gone(receive), connection.ended.wait())
        with contextlib.suppress(Exception):
            await within(WRITE_SECONDS_MAX, send({"type": "http.response.body"}))

    async def _write(self, connection: Connection, page: Page, start: reader.Cursor, first: bytes, send: Send) -> None:
        async def write(content: bytes) -> None:
            await within(WRITE_SECONDS_MAX, send({"type": "http.response.body", "body": content, "more_body": True}))

        silent = 0.0
        with connection.stream(start, _account_moved) as stream, self._pulse.watching(page):
            await write(f"retry: {RECONNECT_MS}\n\n".encode() + first)
            while True:
                batch = await stream.next(PULSE_SECONDS)
                content = (batch.content if batch else b"") + page.news(self._pulse.quotes, self._pulse.postings)
                silent = 0.0 if content else silent + PULSE_SECONDS
                if silent >= HEARTBEAT_SECONDS:
                    content, silent = b": nothing new\n\n", 0.0
                if content:
                    await write(content)


def _authorize(ticket: str, address: str) -> page_tickets.PageGrant:
    """Return what a ticket allows.

    Raises:
        RequestRefused: It allows nothing.
    """
    grant = page_tickets.grant_of(ticket)
    if grant is None:
        if rate_limits.count_stranger(address).exceeded:
            raise RequestRefused(429, "throttled", "This address has made too many requests.", {"Retry-After": "60"})
        raise RequestRefused(401, "authentication_failed", "This ticket is unknown or too old, or its session ended.")
    return grant


def _newest(customer_id: int) -> tuple[int, bool]:
    """Return the customer's newest posting (0: none), and whether anything moved so lately that a page may lack it."""
    with database.cursor() as cursor:
        cursor.execute(NEWEST, {"customer": customer_id, "seconds": LOADING_SECONDS_MAX})
        row = cursor.fetchone()
    return int(row[0]), bool(row[1])


def _account_moved(event: Event) -> bytes:
    return RING


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


RING = _event("account", {})
NEWEST = """
    SELECT coalesce(posting.id, 0),
           greatest(posting.created_at, change.at) > statement_timestamp() - make_interval(secs => %(seconds)s)
    FROM (SELECT) AS nothing
    LEFT JOIN LATERAL (
        SELECT id, created_at FROM accounts_posting WHERE customer_id = %(customer)s ORDER BY id DESC LIMIT 1
    ) AS posting ON true
    LEFT JOIN LATERAL (
        SELECT at FROM trades_statuschange WHERE customer_id = %(customer)s ORDER BY xact DESC, id DESC LIMIT 1
    ) AS change ON true
"""
NEWEST_POSTINGS = """
    SELECT customer.id, newest.id FROM unnest(%s::bigint[]) AS customer (id)
    CROSS JOIN LATERAL (
        SELECT id FROM accounts_posting WHERE customer_id = customer.id ORDER BY id DESC LIMIT 1
    ) AS newest
"""
