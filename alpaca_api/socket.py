"""The WebSocket of the Alpaca-compatible API: the stream `trade_updates`, in binary frames like Alpaca's."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from alpaca_api import serializers
from feed.hub import Connection, Hub, TooManyConnections, still_valid
from feed.reader import Cursor, Event
from feed.stream import (
    HEARTBEAT_SECONDS,
    WRITE_SECONDS_MAX,
    Database,
    Receive,
    RequestRefused,
    Scope,
    Send,
    address_of,
    find_grant,
    refuse_if_exceeded,
    require_read_scope,
    run_until_first,
    start_cursor,
    wait_at_most,
)
from trades.models import Status
from web import rate_limits
from web.authentication import UNKNOWN_KEY_PAIR, Grant, grant_of_pair

SIGN_IN_SECONDS_MAX = 10.0
MESSAGE_BYTES_MAX = 65_536
PATHS = ("/alpaca/stream", "/stream")
NO_SUCH_PATH, POLICY_VIOLATION, TRY_AGAIN_LATER, NORMAL_CLOSURE = 4404, 1008, 1013, 1000
EVENTS = {Status.PLACED: "accepted", Status.IN_PROGRESS: "new", Status.FILLED: "fill"}

SendMessage = Callable[[str, dict[str, Any]], Awaitable[None]]


class _Close(Exception):
    """Close the socket with this code."""

    def __init__(self, code: int = NORMAL_CLOSURE) -> None:
        super().__init__(code)
        self.code = code


class TradeUpdates:
    """The ASGI application of the WebSocket."""

    def __init__(self, hub: Hub, database: Database) -> None:
        self._hub, self._database = hub, database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if scope["path"] not in PATHS:
            await send({"type": "websocket.close", "code": NO_SUCH_PATH})
            return
        await send({"type": "websocket.accept"})
        code = NORMAL_CLOSURE
        try:
            with self._hub.connection(address_of(scope)) as connection:
                code = await self._run_session(connection, scope, receive, send)
        except TooManyConnections:
            code = TRY_AGAIN_LATER
        with contextlib.suppress(Exception):
            await wait_at_most(WRITE_SECONDS_MAX, send({"type": "websocket.close", "code": code}))

    async def _run_session(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> int:
        """Authenticate the client and send it the updates that it listens to; return the close code."""

        async def send_message(stream: str, data: dict[str, Any]) -> None:
            await wait_at_most(WRITE_SECONDS_MAX, send({"type": "websocket.send", "bytes": _message(stream, data)}))

        code = NORMAL_CLOSURE

        async def converse() -> None:
            nonlocal code
            try:
                grant = await asyncio.wait_for(self._signed_in(connection, receive, send_message), SIGN_IN_SECONDS_MAX)
                connection.admit(grant)
                cursor = await self._database.run(start_cursor, _cursor_after(scope))
                await self._serve(connection, _Updates(connection, cursor, send), receive, send_message)
            except _Close as closing:
                code = closing.code
            except TooManyConnections:
                code = TRY_AGAIN_LATER
            except RequestRefused as refused:
                code = POLICY_VIOLATION
                await send_message("error", {"error": refused.detail})

        await run_until_first(converse(), connection.ended.wait())
        return POLICY_VIOLATION if connection.ended.is_set() else code

    async def _serve(
        self, connection: Connection, updates: "_Updates", receive: Receive, send_message: SendMessage
    ) -> None:
        """Start and stop the updates as the client asks, until it disconnects.

        Raises:
            _Close: The client disconnected, or its grant is no longer valid.
        """
        try:
            while True:
                message = await _next_message(receive)
                if message.get("action") != "listen":
                    continue
                await self._check(connection)
                data = message.get("data")
                streams = data.get("streams") if isinstance(data, dict) else None
                is_subscribed = isinstance(streams, list) and "trade_updates" in streams
                if not is_subscribed:
                    await updates.stop()
                await send_message("listening", {"streams": ["trade_updates"] if is_subscribed else []})
                if is_subscribed:
                    updates.start()
        finally:
            await updates.stop()

    async def _check(self, connection: Connection) -> None:
        """Check at every action that the grant is still valid and the rate limit is not exceeded."""
        grant = connection.grant
        if grant is None or grant.id not in await self._database.run(still_valid, {grant.id}):
            raise _Close(POLICY_VIOLATION)
        if (await self._database.run(rate_limits.count, grant, True)).exceeded:
            raise _Close(TRY_AGAIN_LATER)

    async def _signed_in(self, connection: Connection, receive: Receive, send_message: SendMessage) -> Grant:
        """Wait until the client has sent a valid key pair.

        Raises:
            _Close: The key pair is not valid, or the client disconnected.
        """
        while True:
            message = await _next_message(receive)
            inner = message.get("data")
            data: dict[str, Any] = inner if isinstance(inner, dict) else message
            if message.get("action") in ("authenticate", "auth"):
                pair = (data.get("key_id") or message.get("key"), data.get("secret_key") or message.get("secret"))
                try:
                    grant: Grant = await self._database.run(_authorize, *pair, connection.address)
                except RequestRefused as refused:
                    await send_message("authorization", {"status": "unauthorized", "action": "authenticate"})
                    raise _Close(TRY_AGAIN_LATER if refused.status == 429 else POLICY_VIOLATION) from None
                await send_message("authorization", {"status": "authorized", "action": "authenticate"})
                return grant
            await send_message("authorization", {"status": "unauthorized", "action": "listen"})


class _Updates:
    """The updates of a client. Each is sent once, however often the client stops listening and starts again."""

    def __init__(self, connection: Connection, cursor: Cursor, send: Send) -> None:
        self._connection, self._cursor, self._send = connection, cursor, send
        self._sending: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._wake: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Start sending updates, from the one after the last that was sent. Idempotent."""
        if self._sending is None:
            self._is_stopped = False
            self._sending = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop sending, after the update that is being sent now. Idempotent."""
        if self._sending is not None:
            self._is_stopped = True
            self._wake()
            await asyncio.wait([self._sending])
            self._sending = None

    async def _run(self) -> None:
        try:
            with self._connection.stream(self._cursor, _trade_update) as stream:
                self._wake = stream.wake
                while not self._is_stopped:
                    batch = await stream.next(HEARTBEAT_SECONDS)
                    for cursor, content in batch.events if batch else []:
                        if self._is_stopped:
                            break
                        if content:
                            await wait_at_most(
                                WRITE_SECONDS_MAX, self._send({"type": "websocket.send", "bytes": content})
                            )
                        self._cursor = cursor
        except Exception:  # noqa: BLE001 — the client disconnected or is too slow, so it can't be told
            self._connection.ended.set()


async def _next_message(receive: Receive) -> dict[str, Any]:
    """Return the next message that is a JSON object.

    Raises:
        _Close: The client disconnected, or its message is longer than MESSAGE_BYTES_MAX.
    """
    while True:
        received = await receive()
        if received["type"] == "websocket.disconnect":
            raise _Close
        content = received.get("bytes") or (received.get("text") or "").encode()
        if len(content) > MESSAGE_BYTES_MAX:
            raise _Close(POLICY_VIOLATION)
        try:
            message = json.loads(content)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict):
            return message


def _cursor_after(scope: Scope) -> str | None:
    """Return the id of the event after which the updates begin; None: from now on."""
    values: list[str] = parse_qs(scope["query_string"].decode("latin-1")).get("after", [])
    return values[-1] if values else None


def _authorize(key_id: Any, secret_key: Any, address: str) -> Grant:
    is_pair = isinstance(key_id, str) and isinstance(secret_key, str)
    grant = find_grant(grant_of_pair, key_id, secret_key, address) if is_pair else None
    if grant is None:
        refuse_if_exceeded(rate_limits.count_stranger(address), "This address has made too many requests.")
        raise RequestRefused(401, "authentication_failed", UNKNOWN_KEY_PAIR)
    return require_read_scope(grant)


def _message(stream: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def _trade_update(event: Event) -> bytes:
    """Return the update in the format of the wire; empty if the event is not about a trade."""
    trade = event.trade
    if trade is None:
        return b""
    update = {
        "event": EVENTS.get(Status(trade.status)) or serializers.status_of(trade),
        "event_id": event.id,
        "timestamp": serializers.moment(event.at),
        "order": serializers.order(trade),
    }
    if trade.status == Status.FILLED and trade.price is not None:
        update |= {
            "execution_id": str(serializers.execution_id(trade.id)),
            "price": serializers.decimal(trade.price),
            "qty": str(trade.quantity),
            "position_qty": str(event.holding),
        }
    return _message("trade_updates", update)
