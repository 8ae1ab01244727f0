"""The stream of a page: it says that something in the account has changed, and sends prices of the stocks on the page.

An `account` event carries no data: the page then fetches its content from a web process. However many pages are open,
a process reads prices and new postings only once every POLL_SECONDS.
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
    asgi_headers,
    finish_response,
    send_json,
    wait_at_most,
)
from web import rate_limits
from web.problems import problem

POLL_SECONDS = 1.0
LOADING_SECONDS_MAX = 5.0  # between rendering a page and opening its stream; after that, the page reloads by itself
TICKERS_MAX = 200  # on one page

log = structlog.get_logger()


class Page:
    """An open page: its customer, the stocks on it, and the quotes that it was sent last."""

    def __init__(self, customer_id: int, tickers: Iterable[str], newest_posting: int) -> None:
        self.customer_id = customer_id
        self.tickers = frozenset(tickers)
        self._sent_quotes: dict[str, Quote] = {}
        self._newest_posting = newest_posting

    def pending_events(self, quotes: dict[str, Quote], postings: dict[int, int]) -> bytes:
        """Return the events that the page has not been sent yet; empty if there are none."""
        changed = {
            ticker: quotes[ticker]
            for ticker in self.tickers & quotes.keys()
            if ticker not in self._sent_quotes or self._sent_quotes[ticker].price != quotes[ticker].price
        }
        self._sent_quotes |= changed
        newest = max(self._newest_posting, postings.get(self.customer_id, 0))
        account_event = ACCOUNT_CHANGED if newest > self._newest_posting else b""
        self._newest_posting = newest
        changed_prices = {ticker: str(quote.price) for ticker, quote in changed.items()}
        return account_event + (_event("prices", changed_prices) if changed_prices else b"")


class PagePoller:
    """Polls, for all open pages of a process, the prices and the newest posting of each customer."""

    def __init__(self) -> None:
        self._pages: set[Page] = set()
        self._thread = ThreadPoolExecutor(1, "poller")
        self._task: asyncio.Task[None] | None = None
        self.quotes: dict[str, Quote] = {}
        self.postings: dict[int, int] = {}

    @contextlib.contextmanager
    def watching(self, page: Page) -> Iterator[None]:
        """Poll for a page while the context is open."""
        self._pages.add(page)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._poll())
        try:
            yield
        finally:
            self._pages.discard(page)

    def close(self) -> None:
        """Close the thread and its connection to the database."""
        self._thread.submit(lambda: database.close()).result()  # that thread's own connection
        self._thread.shutdown()

    async def _poll(self) -> None:
        while self._pages:
            tickers = frozenset[str]().union(*(page.tickers for page in self._pages))
            customers = {page.customer_id for page in self._pages}
            try:
                self.quotes, self.postings = await asyncio.get_running_loop().run_in_executor(
                    self._thread, _read_quotes_and_postings, tickers, customers
                )
            except Exception as error:  # noqa: BLE001 — the next poll follows soon
                log.warning("pages: reading prices and postings failed; retrying", error=repr(error))
            await asyncio.sleep(POLL_SECONDS)


def _read_quotes_and_postings(tickers: frozenset[str], customers: set[int]) -> tuple[dict[str, Quote], dict[int, int]]:
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
        self._hub, self._database, self._poller = hub, database, PagePoller()

    def close(self) -> None:
        """Close the thread and its connection to the database."""
        self._poller.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            body = problem(405, "method_not_allowed", "Read a page's stream with GET.")
            await send_json(send, 405, body, {"Allow": "GET"})
            return
        try:
            with self._hub.connection(address_of(scope)) as connection:
                await self._serve(connection, scope, receive, send)
        except TooManyConnections:
            body = problem(429, "too_many_streams", "Too many pages are open.")
            await send_json(send, 429, body, {"Retry-After": "15"})
        except RequestRefused as refused:
            await send_json(send, refused.status, refused.body, refused.headers)

    async def _serve(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            RequestRefused, TooManyConnections: Nothing has been sent.
        """
        query = parse_qs(scope["query_string"].decode("latin-1"))
        ticket = query.get("ticket", [""])[-1]
        grant = await self._database.run(_authorize, ticket, connection.address)
        start = await self._database.run(reader.latest_cursor)
        newest, has_just_moved = await self._database.run(_newest_posting_of, grant.customer_id)
        connection.admit(grant)
        requested = query.get("tickers", [""])[-1].split(",")
        tickers = [ticker for ticker in requested if market.TICKER.fullmatch(ticker)][:TICKERS_MAX]
        fields = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            # The ticket alone authorizes the page, whatever its origin; no cookie is used.
            "Access-Control-Allow-Origin": "*",
        }
        await send({"type": "http.response.start", "status": 200, "headers": asgi_headers(fields)})
        page = Page(grant.customer_id, tickers, newest)
        first = ACCOUNT_CHANGED if has_just_moved else b""
        await finish_response(self._write(connection, page, start, first, send), connection, receive, send)

    async def _write(self, connection: Connection, page: Page, start: reader.Cursor, first: bytes, send: Send) -> None:
        async def write(content: bytes) -> None:
            body = {"type": "http.response.body", "body": content, "more_body": True}
            await wait_at_most(WRITE_SECONDS_MAX, send(body))

        silent = 0.0
        with connection.stream(start, _account_changed) as stream, self._poller.watching(page):
            await write(f"retry: {RECONNECT_MS}\n\n".encode() + first)
            while True:
                batch = await stream.next(POLL_SECONDS)
                changes = page.pending_events(self._poller.quotes, self._poller.postings)
                content = (batch.content if batch else b"") + changes
                silent = 0.0 if content else silent + POLL_SECONDS
                if silent >= HEARTBEAT_SECONDS:
                    content, silent = b": nothing new\n\n", 0.0
                if content:
                    await write(content)


def _authorize(ticket: str, address: str) -> page_tickets.PageGrant:
    """Return the grant of a ticket.

    Raises:
        RequestRefused: The ticket is not valid.
    """
    grant = page_tickets.grant_of(ticket)
    if grant is None:
        if rate_limits.count_stranger(address).exceeded:
            raise RequestRefused(429, "throttled", "This address has made too many requests.", {"Retry-After": "60"})
        raise RequestRefused(401, "authentication_failed", "This ticket is unknown or too old, or its session ended.")
    return grant


def _newest_posting_of(customer_id: int) -> tuple[int, bool]:
    """Return the id of the customer's newest posting (0: none), and whether the page may lack a recent change."""
    with database.cursor() as cursor:
        cursor.execute(NEWEST, {"customer": customer_id, "seconds": LOADING_SECONDS_MAX})
        row = cursor.fetchone()
    return int(row[0]), bool(row[1])


def _account_changed(event: Event) -> bytes:
    return ACCOUNT_CHANGED


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


ACCOUNT_CHANGED = _event("account", {})
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
