"""The `stream` process: server-sent events for our own API, and the web socket of the Alpaca-compatible one.

Any number of streams costs one query every POLL_SECONDS, and no thread: each stream is a place in its customer's feed
and a coroutine that waits for what comes after. The place is the client's (`Last-Event-ID`), so that a stream can end
anywhere and go on at any other process without a gap or a double. A slow reader is not read for until it has read.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import structlog
from django.db import connection

from accounts import limits, tokens
from accounts.models import Token
from alpaca_api import shapes
from brokerage.errors import PROBLEM_JSON, problem
from trades import feed
from trades.api import event_body
from trades.feed import Event, Position
from trades.models import Status

POLL_SECONDS = 0.2
EVENTS_A_READ_MAX = 200  # of one stream
HEARTBEAT_SECONDS = 15.0  # of silence; shorter than what balancers allow
RECONNECT_MS = 1_000  # what clients are told to wait before they come again
GRANTS_CHECKED_SECONDS = 2.0  # how soon a stream ends whose token has ended
SIGN_IN_SECONDS_MAX = 10.0
MESSAGE_BYTES_MAX = 65_536

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = structlog.get_logger()


class Ended(Exception):
    """The stream's token was deleted, or has ended."""


class _Refused(Exception):
    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers or {}


class Stream:
    """One open stream: whose, from where, and what it waits for."""

    def __init__(self, grant: Token, position: Position) -> None:
        self.grant_id, self.customer_id, self.position = grant.id, grant.customer_id, position
        self.waiting: asyncio.Future[list[Event]] | None = None


class Hub:
    """Reads for all open streams of this process together, in a thread of its own."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()
        self._thread = ThreadPoolExecutor(1, "feed")
        self._poller: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def opened(self, stream: Stream):
        """Read for this stream while it is open."""
        self._streams.add(stream)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.get_running_loop().create_task(self._poll())
        try:
            yield
        finally:
            self._streams.discard(stream)

    async def next(self, stream: Stream, seconds_max: float) -> list[Event]:
        """The next events of a stream, one at least; none after so much silence. Raises Ended."""
        stream.waiting = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(stream.waiting, seconds_max)
        except TimeoutError:
            return []
        finally:
            stream.waiting = None

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        checked_at = loop.time()
        while self._streams:
            waiting = [stream for stream in self._streams if stream.waiting]
            try:
                askers = [(stream.customer_id, stream.position) for stream in waiting]
                until, found = await loop.run_in_executor(self._thread, _read, askers)
                if loop.time() - checked_at > GRANTS_CHECKED_SECONDS:
                    grants = {stream.grant_id for stream in self._streams}
                    valid = await loop.run_in_executor(self._thread, _still_valid, grants)
                    self._end(stream for stream in list(self._streams) if stream.grant_id not in valid)
                    checked_at = loop.time()
            except Exception as error:  # noqa: BLE001 — the database may be back in the next round
                log.warning("streams: a round failed; the next follows", streams=len(self._streams), error=repr(error))
                await asyncio.sleep(1)
                continue
            full = False
            for stream, (_, asked), events in zip(waiting, askers, found, strict=True):
                if not events:
                    stream.position = max(asked, until)
                elif stream.waiting and not stream.waiting.done():
                    is_full = len(events) == EVENTS_A_READ_MAX
                    full = full or is_full
                    stream.position = events[-1].position if is_full else until
                    stream.waiting.set_result(events)
            await asyncio.sleep(0 if full else POLL_SECONDS)

    def _end(self, streams: Iterable[Stream]) -> None:
        for stream in streams:
            if stream.waiting and not stream.waiting.done():
                stream.waiting.set_exception(Ended())


def _read(askers: list[tuple[int, Position]]) -> tuple[Position, list[list[Event]]]:
    try:
        until = feed.now()
        behind = [number for number, (_, position) in enumerate(askers) if position < until]
        events = feed.read([askers[number] for number in behind], until, EVENTS_A_READ_MAX)
    except Exception:
        connection.close()
        raise
    found: list[list[Event]] = [[] for _ in askers]
    for number, mine in zip(behind, events, strict=True):
        found[number] = mine
    return until, found


def _still_valid(grant_ids: set[Any]) -> set[Any]:
    try:
        return tokens.valid_of(grant_ids)
    except Exception:
        connection.close()
        raise


class Streams:
    """The ASGI application."""

    def __init__(self) -> None:
        self._hub = Hub()
        self._sign_in = ThreadPoolExecutor(2, "sign-in")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["path"] == "/healthz":
            await _answer(send, 200, {"ok": True})
        elif scope["path"] != "/api/v1/events":
            await _answer(send, 404, problem(404, "not_found", "There is nothing at this address."))
        elif scope["method"] not in ("GET", "HEAD"):
            body = problem(405, "method_not_allowed", "Events are read with GET.")
            await _answer(send, 405, body, {"Allow": "GET, HEAD"})
        else:
            await self._events(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    # -- server-sent events

    async def _events(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            grant, allowance = await self._in_thread(_grant_of_header, headers.get("authorization"))
            position = await self._start(headers.get("last-event-id"), scope)
        except _Refused as refusal:
            await _answer(send, refusal.status, problem(refusal.status, refusal.code, refusal.detail), refusal.headers)
            return
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": _headers(
                    {
                        "Content-Type": "text/event-stream; charset=utf-8",
                        "Cache-Control": "no-store",
                        "X-Accel-Buffering": "no",
                        **allowance.headers,
                    }
                ),
            }
        )
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return

        async def write(text: str) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        async def stream() -> None:
            opened = Stream(grant, position)
            with self._hub.opened(opened), contextlib.suppress(Ended):
                # An id without data moves the client's Last-Event-ID, so that even who saw no event can resume.
                await write(f"retry: {RECONNECT_MS}\nid: {position}\n\n")
                while True:
                    events = await self._hub.next(opened, HEARTBEAT_SECONDS)
                    await write("".join(map(_server_sent, events)) or ": nothing new\n\n")

        await _until_gone(stream(), receive, "http.disconnect")
        with contextlib.suppress(Exception):
            await send({"type": "http.response.body"})

    async def _start(self, last_event_id: str | None, scope: dict[str, Any]) -> Position:
        """Where a stream starts: after the event that the client names, else now."""
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if unknown := asked.keys() - {"after"}:
            raise _Refused(400, "invalid", f"Unknown: {sorted(unknown)[0][:40]!r}; known is: after.")
        after = last_event_id or asked.get("after", [None])[-1]
        if after is None:
            return await self._in_thread(feed.now)
        try:
            return Position.parse(after)
        except ValueError as error:
            raise _Refused(400, "invalid", f"Last-Event-ID: {error}.") from None

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something with the database. Raises _Refused, also where the database is away."""

        def safely() -> Any:
            try:
                return work(*arguments)
            except _Refused:
                raise
            except Exception as error:  # noqa: BLE001 — whatever it is, the client is told
                connection.close()
                log.warning("streams: the database failed", error=repr(error))
                raise _Refused(503, "unavailable", "Try again in a moment.", {"Retry-After": "2"}) from None

        return await asyncio.get_running_loop().run_in_executor(self._sign_in, safely)

    # -- the web socket of Alpaca's API

    async def _socket(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if scope["path"] not in ("/alpaca/stream", "/stream"):
            await send({"type": "websocket.close", "code": 4404})
            return
        await send({"type": "websocket.accept"})

        async def say(stream: str, data: dict[str, Any]) -> None:
            # Binary frames, as Alpaca's are.
            body = json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()
            await send({"type": "websocket.send", "bytes": body})

        with contextlib.suppress(_Gone, asyncio.TimeoutError):
            grant = await asyncio.wait_for(self._signed_in(receive, say), SIGN_IN_SECONDS_MAX)
            listening: asyncio.Task[None] | None = None
            try:
                position = await self._start(None, scope)
                while True:
                    message = await _message(receive)
                    if message.get("action") != "listen":
                        continue
                    data = message.get("data")
                    streams = data.get("streams") if isinstance(data, dict) else None
                    wanted = isinstance(streams, list) and "trade_updates" in streams
                    await say("listening", {"streams": ["trade_updates"] if wanted else []})
                    if listening and not wanted:
                        listening.cancel()
                        listening = None
                    elif wanted and listening is None:
                        listening = asyncio.create_task(self._updates(grant, position, say, send))
            except _Refused as refusal:
                await say("error", {"error": refusal.detail})
            finally:
                if listening:
                    listening.cancel()
                    await asyncio.wait([listening])
        with contextlib.suppress(Exception):
            await send({"type": "websocket.close", "code": 1000})

    async def _signed_in(self, receive: Receive, say: Callable[[str, dict[str, Any]], Awaitable[None]]) -> Token:
        while True:
            message = await _message(receive)
            inner = message.get("data")
            data: dict[str, Any] = inner if isinstance(inner, dict) else message
            if message.get("action") in ("authenticate", "auth"):
                pair = (data.get("key_id") or message.get("key"), data.get("secret_key") or message.get("secret"))
                try:
                    grant = await self._in_thread(_grant_of_pair, *pair)
                except _Refused:
                    await say("authorization", {"status": "unauthorized", "action": "authenticate"})
                    raise _Gone from None
                await say("authorization", {"status": "authorized", "action": "authenticate"})
                return grant
            await say("authorization", {"status": "unauthorized", "action": "listen"})

    async def _updates(self, grant: Token, position: Position, say: Callable[..., Awaitable[None]], send: Send) -> None:
        opened = Stream(grant, position)
        with self._hub.opened(opened), contextlib.suppress(Exception):
            with contextlib.suppress(Ended):
                while True:
                    for event in await self._hub.next(opened, HEARTBEAT_SECONDS):
                        await say("trade_updates", _trade_update(event))
            await send({"type": "websocket.close", "code": 1008})


class _Gone(Exception):
    """The client is not there any more, or must not be."""


async def _message(receive: Receive) -> dict[str, Any]:
    """The next message that is a JSON object. Raises _Gone."""
    while True:
        received = await receive()
        if received["type"] == "websocket.disconnect":
            raise _Gone
        content = received.get("bytes") or (received.get("text") or "").encode()
        if len(content) > MESSAGE_BYTES_MAX:
            raise _Gone
        try:
            message = json.loads(content)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict):
            return message


async def _until_gone(work: Any, receive: Receive, goodbye: str) -> None:
    """Do it until it ends, or the client has gone."""

    async def gone() -> None:
        while (await receive())["type"] != goodbye:
            pass

    tasks = [asyncio.create_task(work), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _grant_of_header(authorization: str | None) -> tuple[Token, limits.Allowance]:
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() != "bearer":
        raise _Refused(
            401,
            "not_authenticated",
            "Send “Authorization: Bearer <token>”.",
            {"WWW-Authenticate": 'Bearer realm="api"'},
        )
    grant = tokens.find(token.strip()) if token.isascii() else None
    if grant is None:
        raise _Refused(
            401,
            "authentication_failed",
            "The token is unknown, has ended, or was deleted.",
            {"WWW-Authenticate": 'Bearer realm="api"'},
        )
    allowance = limits.count(grant, is_read=True)
    if allowance.exceeded:
        headers = {"Retry-After": str(allowance.reset_seconds), **allowance.headers}
        raise _Refused(429, "throttled", "Too many requests of this token.", headers)
    return _readable(grant), allowance


def _grant_of_pair(key_id: Any, secret_key: Any) -> Token:
    if not (isinstance(key_id, str) and isinstance(secret_key, str) and (key_id + secret_key).isascii()):
        raise _Refused(401, "authentication_failed", "The pair of keys is unknown.")
    grant = tokens.find_pair(key_id, secret_key) if "\x00" not in key_id else None
    if grant is None:
        raise _Refused(401, "authentication_failed", "The pair of keys is unknown, has ended, or was deleted.")
    return _readable(grant)


def _readable(grant: Token) -> Token:
    if Token.Scope.READ not in grant.scopes:
        raise _Refused(403, "permission_denied", "This token lacks the scope “read”.")
    tokens.note_use(grant)
    return grant


def _server_sent(event: Event) -> str:
    return f"id: {event.id}\nevent: {event.type}\ndata: {json.dumps(event_body(event), separators=(',', ':'))}\n\n"


UPDATES = {Status.PLACED: "accepted", Status.IN_PROGRESS: "new", Status.FILLED: "fill"}


def _trade_update(event: Event) -> dict[str, Any]:
    trade = event.trade
    update = {
        "event": UPDATES.get(Status(trade.status)) or shapes.status_of(trade),
        "event_id": event.id,
        "timestamp": shapes.moment(event.at),
        "order": shapes.order(trade),
    }
    if trade.status == Status.FILLED and trade.price is not None:
        update |= {
            "execution_id": str(shapes.execution_id(trade.id)),
            "price": shapes.decimal(trade.price),
            "qty": str(trade.quantity),
            "position_qty": str(event.holding),
        }
    return update


async def _answer(send: Send, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    content = json.dumps(body).encode()
    kind = PROBLEM_JSON if status >= HTTPStatus.BAD_REQUEST else "application/json"
    fields = {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}
    await send({"type": "http.response.start", "status": status, "headers": _headers(fields)})
    await send({"type": "http.response.body", "body": content})


def _headers(fields: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()]
