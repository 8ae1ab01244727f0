"""Server-sent events: the customer's feed as an ASGI application.

A client says where it has got to (`Last-Event-ID`), so a stream can end anywhere and go on in any other process
without a gap or a duplicate.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import structlog
from django.db import connection

from feed import reader
from feed.api import event_body
from feed.hub import Ended, Hub, Stream
from feed.reader import Cursor, Event
from web import rate_limits
from web.authentication import READ, UNKNOWN_TOKEN, Grant, bearer_token, grant_of_token
from web.problems import PROBLEM_JSON, problem

HEARTBEAT_SECONDS = 15.0  # of silence; shorter than what balancers allow
RECONNECT_MS = 1_000  # how long clients are told to wait before they reconnect

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = structlog.get_logger()


class RequestRefused(Exception):
    """The request is answered with this problem."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers or {}


class Database:
    """Runs short database work outside the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, "database")

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run `work` in a thread.

        Raises:
            RequestRefused: `work` raised it, or the database is away.
        """

        def safely() -> Any:
            try:
                return work(*arguments)
            except RequestRefused:
                raise
            except Exception as error:  # noqa: BLE001 — whatever it is, the client is told
                connection.close()
                log.warning("streams: the database failed", error=repr(error))
                raise RequestRefused(503, "unavailable", "Try again in a moment.", {"Retry-After": "2"}) from None

        return await asyncio.get_running_loop().run_in_executor(self._threads, safely)


class EventStream:
    """The ASGI application behind `GET /api/v1/events`."""

    def __init__(self, hub: Hub, database: Database) -> None:
        self._hub, self._database = hub, database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            body = problem(405, "method_not_allowed", "Events are read with GET.")
            await answer(send, 405, body, {"Allow": "GET, HEAD"})
            return
        headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
        try:
            grant, allowance = await self._database.run(_authorize, headers.get("authorization", b""))
            cursor = await self._start(headers.get("last-event-id", b"").decode("latin-1"), scope)
        except RequestRefused as refused:
            await answer(send, refused.status, problem(refused.status, refused.code, refused.detail), refused.headers)
            return
        fields = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            **allowance.headers,
        }
        await send({"type": "http.response.start", "status": 200, "headers": encoded(fields)})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return
        await until_gone(self._write(Stream(grant, cursor), send), receive)
        with contextlib.suppress(Exception):
            await send({"type": "http.response.body"})

    async def _write(self, stream: Stream, send: Send) -> None:
        async def write(text: str) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        with self._hub.opened(stream), contextlib.suppress(Ended):
            # An id without data moves the client's Last-Event-ID, so that a client that saw no event can resume too.
            await write(f"retry: {RECONNECT_MS}\nid: {stream.cursor}\n\n")
            while True:
                events = await self._hub.next(stream, HEARTBEAT_SECONDS)
                await write("".join(map(_server_sent, events)) or ": nothing new\n\n")

    async def _start(self, last_event_id: str, scope: Scope) -> Cursor:
        """Return where the stream starts: after the event that the client names, else now."""
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if unknown := asked.keys() - {"after"}:
            raise RequestRefused(400, "invalid", f"Unknown parameter {sorted(unknown)[0][:40]!r}; known: after.")
        after = last_event_id or asked.get("after", [None])[-1]
        if after is None:
            return await self._database.run(reader.now)
        try:
            return Cursor.parse(after)
        except ValueError as error:
            raise RequestRefused(400, "invalid", f"Last-Event-ID: {error}.") from None


def _authorize(authorization: bytes) -> tuple[Grant, rate_limits.Allowance]:
    realm = {"WWW-Authenticate": 'Bearer realm="api"'}
    token = bearer_token(authorization)
    if token is None:
        raise RequestRefused(401, "not_authenticated", "Send “Authorization: Bearer <token>”.", realm)
    grant = grant_of_token(token)
    if grant is None:
        raise RequestRefused(401, "authentication_failed", UNKNOWN_TOKEN, realm)
    allowance = rate_limits.count(grant, is_read=True)
    if allowance.exceeded:
        headers = {"Retry-After": str(allowance.reset_seconds), **allowance.headers}
        raise RequestRefused(429, "throttled", "This token has made too many requests.", headers)
    return readable(grant), allowance


def readable(grant: Grant) -> Grant:
    """Return the grant if it may read.

    Raises:
        RequestRefused: It lacks the scope.
    """
    if READ not in grant.scopes:
        raise RequestRefused(403, "permission_denied", f"This token lacks the scope “{READ}”.")
    return grant


async def until_gone(work: Any, receive: Receive) -> None:
    """Run `work` until it ends or the client disconnects."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(work), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _server_sent(event: Event) -> str:
    return f"id: {event.id}\nevent: {event.type}\ndata: {json.dumps(event_body(event), separators=(',', ':'))}\n\n"


async def answer(send: Send, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """Answer a request with a JSON body."""
    content = json.dumps(body).encode()
    kind = PROBLEM_JSON if status >= HTTPStatus.BAD_REQUEST else "application/json"
    fields = {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}
    await send({"type": "http.response.start", "status": status, "headers": encoded(fields)})
    await send({"type": "http.response.body", "body": content})


def encoded(fields: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return header fields as ASGI carries them."""
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()]
