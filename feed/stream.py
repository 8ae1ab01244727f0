"""Server-sent events: the customer's feed as an ASGI application.

A client sends the id of its last event (`Last-Event-ID`), so a stream can break at any point and resume in any other
process without a gap or a duplicate. If `Accept` asks for JSON, the response is a page of the same events.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from http import HTTPStatus
from threading import Barrier
from typing import Any
from urllib.parse import parse_qs

import structlog
from django.conf import settings
from django.db import connection as database
from rest_framework.exceptions import ValidationError

from feed import reader
from feed.api import EventQuerySerializer, event_body, event_page, wants_json
from feed.hub import Connection, Hub, TooManyConnections
from feed.reader import Cursor, Event
from web import rate_limits
from web.authentication import READ, UNKNOWN_TOKEN, AddressNotAllowed, Grant, bearer_token, grant_of_token
from web.drf import PAGE_SIZE
from web.patience import deduct, limited_patience
from web.problems import PROBLEM_JSON, problem
from web.rate_limits import Allowance
from web.serializers import validated

THREADS = 2  # for the database
HEARTBEAT_SECONDS = 15.0  # without events; shorter than the idle timeout of load balancers
RECONNECT_MS = 1_000  # how long clients wait before they reconnect
WRITE_SECONDS_MAX = 20.0  # a stream ends when its client takes no data for this long; the client may reconnect

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = structlog.get_logger()


class RequestRefused(Exception):
    """The request is rejected with this problem."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}
        self.body = problem(status, code, detail)


class Database:
    """Runs short database work outside the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "database")
        self._failed_at = float("-inf")

    def close(self) -> None:
        """Close the threads and their connections to the database."""
        everyone = Barrier(THREADS)  # makes each thread run `close` once, for its own connection

        def close() -> None:
            everyone.wait()
            database.close()

        wait([self._threads.submit(close) for _ in range(THREADS)])
        self._threads.shutdown()

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run `work` in a thread, with the patience of a request.

        Raises:
            RequestRefused: `work` raised it, or the database is unavailable.
        """
        began = time.monotonic()

        def safely() -> Any:
            try:
                with limited_patience():
                    if self._failed_at > began:  # the threads were busy in vain
                        deduct(time.monotonic() - began)
                    return work(*arguments)
            except RequestRefused:
                raise
            except Exception as error:  # noqa: BLE001 — the client gets an answer, whatever failed
                self._failed_at = time.monotonic()
                database.close()
                log.warning("streams: the database failed", error=repr(error))
                raise RequestRefused(503, "unavailable", "Try again in a moment.", {"Retry-After": "2"}) from None

        # In this task's context, so that the thread's log lines carry the request's id.
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, safely)


class EventStream:
    """The ASGI application behind `GET /api/v1/events`."""

    def __init__(self, hub: Hub, database: Database) -> None:
        self._hub, self._database = hub, database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            body = problem(405, "method_not_allowed", "Read events with GET.")
            await send_json(send, 405, body, {"Allow": "GET, HEAD"})
            return
        try:
            with self._hub.connection(address_of(scope)) as connection:
                await self._serve(connection, scope, receive, send)
        except TooManyConnections:
            detail = "You have too many event streams open. Close one, and try again."
            body = problem(429, "too_many_streams", detail)
            await send_json(send, 429, body, {"Retry-After": str(int(HEARTBEAT_SECONDS))})
        except RequestRefused as refused:
            await send_json(send, refused.status, refused.body, refused.headers)

    async def _serve(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: with a page if the client wants JSON, otherwise with the stream.

        Raises:
            RequestRefused, TooManyConnections: Nothing has been sent.
        """
        headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
        authorization = headers.get("authorization", b"")
        grant, allowance = await self._database.run(_authorize, authorization, connection.address)
        query = _query(scope)
        if wants_json(headers.get("accept", b"").decode("latin-1")):
            if query["limit"] > PAGE_SIZE:
                allowance = await self._database.run(_count_reads, grant, -(-query["limit"] // PAGE_SIZE) - 1)
            page = await self._database.run(_page, grant.customer_id, query.get("after"), query["limit"])
            await send_json(send, 200, page, allowance.headers)
            return
        last_event_id = headers.get("last-event-id", b"").decode("latin-1")
        cursor = await self._database.run(start_cursor, last_event_id or query.get("after"))
        connection.admit(grant)
        fields = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            **allowance.headers,
        }
        await send({"type": "http.response.start", "status": 200, "headers": asgi_headers(fields)})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return
        await finish_response(self._write(connection, cursor, send), connection, receive, send)

    async def _write(self, connection: Connection, cursor: Cursor, send: Send) -> None:
        async def write(content: bytes) -> None:
            body = {"type": "http.response.body", "body": content, "more_body": True}
            await wait_at_most(WRITE_SECONDS_MAX, send(body))

        with connection.stream(cursor, _server_sent) as stream:
            # An id without data sets the client's Last-Event-ID, so that it can resume before its first event, too.
            await write(f"retry: {RECONNECT_MS}\nid: {stream.cursor}\n\n".encode())
            while True:
                batch = await stream.next(HEARTBEAT_SECONDS)
                await write(batch.content if batch else b": nothing new\n\n")


def _query(scope: Scope) -> dict[str, Any]:
    """Return the validated query parameters.

    Raises:
        RequestRefused: A parameter is not valid.
    """
    parameters = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    try:
        return validated(EventQuerySerializer, {name: values[-1] for name, values in parameters.items()})
    except ValidationError as error:
        detail: dict[str, Any] = dict(error.detail)  # type: ignore[arg-type]
        name = next(iter(detail))
        raise RequestRefused(400, "invalid", f"{name[:40]}: {detail[name][0]}") from None


def start_cursor(after: str | None) -> Cursor:
    """Return the cursor at which a stream starts: after the event that the client names, otherwise now.

    Raises:
        RequestRefused: `after` is not an event's id, or no event can have this id yet.
    """
    try:
        return reader.latest_cursor() if after is None else reader.start_after(after)
    except ValueError as error:
        raise RequestRefused(400, "invalid", f"Last-Event-ID: {error}.") from None


def _page(customer_id: int, after: str | None, limit: int) -> dict[str, Any]:
    try:
        return event_page(customer_id, after, limit)
    except ValueError as error:
        raise RequestRefused(400, "invalid", f"after: {error}.") from None


def _authorize(authorization: bytes, address: str) -> tuple[Grant, Allowance]:
    token = bearer_token(authorization)
    grant = find_grant(grant_of_token, token, address) if token else None
    if grant is None:
        refuse_if_exceeded(rate_limits.count_stranger(address), "This address has made too many requests.")
        realm = {"WWW-Authenticate": 'Bearer realm="api"'}
        if token is None:
            raise RequestRefused(401, "not_authenticated", "Send “Authorization: Bearer <token>”.", realm)
        raise RequestRefused(401, "authentication_failed", UNKNOWN_TOKEN, realm)
    allowance = _count_reads(grant)
    return require_read_scope(grant), allowance


def _count_reads(grant: Grant, number: int = 1) -> Allowance:
    allowance = rate_limits.count(grant, is_read=True, number=number)
    refuse_if_exceeded(allowance, "You have made too many requests.")
    return allowance


def find_grant(find: Callable[..., Grant | None], *arguments: str) -> Grant | None:
    """Return the grant that `find` returns.

    Raises:
        RequestRefused: The grant may not be used from this address.
    """
    try:
        return find(*arguments)
    except AddressNotAllowed as error:
        raise RequestRefused(403, error.default_code, error.default_detail) from None


def refuse_if_exceeded(allowance: Allowance, detail: str) -> None:
    """Raise RequestRefused if the rate limit is exceeded."""
    if allowance.exceeded:
        headers = {"Retry-After": str(allowance.reset_seconds), **allowance.headers}
        raise RequestRefused(429, "throttled", detail, headers)


def require_read_scope(grant: Grant) -> Grant:
    """Return the grant if it has the scope `read`.

    Raises:
        RequestRefused: It lacks the scope.
    """
    if READ not in grant.scopes:
        raise RequestRefused(403, "permission_denied", f"This token lacks the scope “{READ}”.")
    return grant


def address_of(scope: Scope) -> str:
    """Return the client's IP address, taken from X-Forwarded-For behind load balancers."""
    proxies: int = settings.REST_FRAMEWORK["NUM_PROXIES"]  # type: ignore[assignment]
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    if proxies and forwarded:
        addresses = ",".join(forwarded).split(",")
        return addresses[-min(proxies, len(addresses))].strip()
    return str((scope.get("client") or ("",))[0])


async def run_until_first(*awaitables: Awaitable[Any]) -> None:
    """Run several awaitables until the first of them ends, then cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def finish_response(writing: Awaitable[None], connection: Connection, receive: Receive, send: Send) -> None:
    """Write a stream's body until the client disconnects, its grant ends, or the server stops; then complete it.

    A server that stops cancels what still runs. The response is completed then, too: the client sees an end, not a
    broken connection, and reconnects.
    """
    with contextlib.suppress(asyncio.CancelledError):
        await run_until_first(writing, _disconnected(receive), connection.ended.wait())
    with contextlib.suppress(Exception):
        await wait_at_most(WRITE_SECONDS_MAX, send({"type": "http.response.body"}))


async def _disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def wait_at_most(seconds: float, work: Awaitable[None]) -> None:
    """Run `work`, which may block on a slow client, for at most `seconds`.

    Raises:
        TimeoutError: The client was too slow.
    """
    await asyncio.wait_for(work, seconds)


def _server_sent(event: Event) -> bytes:
    data = json.dumps(event_body(event), separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n".encode()


async def send_json(send: Send, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """Send a complete response with a JSON body."""
    content = json.dumps(body).encode()
    kind = PROBLEM_JSON if status >= HTTPStatus.BAD_REQUEST else "application/json"
    fields = {
        "Content-Type": kind,
        "Content-Length": str(len(content)),
        "Cache-Control": "no-store",
        **(headers or {}),
    }
    await send({"type": "http.response.start", "status": status, "headers": asgi_headers(fields)})
    await send({"type": "http.response.body", "body": content})


def asgi_headers(fields: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return header fields in the format of ASGI."""
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()]
