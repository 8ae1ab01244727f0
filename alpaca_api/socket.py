"""The web socket of the Alpaca-compatible API: `trade_updates`, in binary frames as Alpaca sends them."""

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

Say = Callable[[str, dict[str, Any]], Awaitable[None]]


class _Over(Exception):
    """The socket is to be closed, with this code."""

    def __init__(self, code: int = NORMAL_CLOSURE) -> None:
        super().__init__(code)
        self.code = code


class TradeUpdates:
    """The ASGI application behind the web socket."""

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
                code = await self._converse(connection, scope, receive, send)
        except TooManyConnections:
            code = TRY_AGAIN_LATER
        with contextlib.suppress(Exception):
            await wait_at_most(WRITE_SECONDS_MAX, send({"type": "websocket.close", "code": code}))

    async def _converse(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> int:
        """Sign the client in, and send it what it listens to; return the code to close with."""

        async def say(stream: str, data: dict[str, Any]) -> None:
            await wait_at_most(WRITE_SECONDS_MAX, send({"type": "websocket.send", "bytes": _message(stream, data)}))

        code = NORMAL_CLOSURE

        async def converse() -> None:
            nonlocal code
            try:
                grant = await asyncio.wait_for(self._signed_in(connection, receive, say), SIGN_IN_SECONDS_MAX)
                connection.admit(grant)
                cursor = await self._database.run(start_cursor, _after(scope))
                await self._serve(connection, _Updates(connection, cursor, send), receive, say)
            except _Over as over:
                code = over.code
            except TooManyConnections:
                code = TRY_AGAIN_LATER
            except RequestRefused as refused:
                code = POLICY_VIOLATION
                await say("error", {"error": refused.detail})

        await run_until_first(converse(), connection.ended.wait())
        return POLICY_VIOLATION if connection.ended.is_set() else code

    async def _serve(self, connection: Connection, updates: "_Updates", receive: Receive, say: Say) -> None:
        """Listen and stop listening as the client asks, until it leaves.

        Raises:
            _Over: The client left, or may not read any more.
        """
        try:
            while True:
                message = await _received(receive)
                if message.get("action") != "listen":
                    continue
                await self._check(connection)
                data = message.get("data")
                streams = data.get("streams") if isinstance(data, dict) else None
                wanted = isinstance(streams, list) and "trade_updates" in streams
                if not wanted:
                    await updates.stop()
                await say("listening", {"streams": ["trade_updates"] if wanted else []})
                if wanted:
                    updates.start()
        finally:
            await updates.stop()

    async def _check(self, connection: Connection) -> None:
        """Check that the client may still read, and does not ask too often: at every action."""
        grant = connection.grant
        if grant is None or grant.id not in await self._database.run(still_valid, {grant.id}):
            raise _Over(POLICY_VIOLATION)
        if (await self._database.run(rate_limits.count, grant, True)).exceeded:
            raise _Over(TRY_AGAIN_LATER)

    async def _signed_in(self, connection: Connection, receive: Receive, say: Say) -> Grant:
        """Wait until the client has sent a valid key pair.

        Raises:
            _Over: The pair is not valid, or the client left.
        """
        while True:
            message = await _received(receive)
            inner = message.get("data")
            data: dict[str, Any] = inner if isinstance(inner, dict) else message
            if message.get("action") in ("authenticate", "auth"):
                pair = (data.get("key_id") or message.get("key"), data.get("secret_key") or message.get("secret"))
                try:
                    grant: Grant = await self._database.run(_authorize, *pair, connection.address)
                except RequestRefused as refused:
                    await say("authorization", {"status": "unauthorized", "action": "authenticate"})
                    raise _Over(TRY_AGAIN_LATER if refused.status == 429 else POLICY_VIOLATION) from None
                await say("authorization", {"status": "authorized", "action": "authenticate"})
                return grant
            await say("authorization", {"status": "unauthorized", "action": "listen"})


class _Updates:
    """The updates that a client listens to: each is sent once, however often it stops and listens again."""

    def __init__(self, connection: Connection, cursor: Cursor, send: Send) -> None:
        self._connection, self._cursor, self._send = connection, cursor, send
        self._sending: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._wake: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Send updates from where the client has got to, unless they are being sent already."""
        if self._sending is None:
            self._is_stopped = False
            self._sending = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send no more, once the update that is being sent is on its way."""
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
                            await wait_at_most(WRITE_SECONDS_MAX, self._send({"type": "websocket.send", "bytes": content}))
                        self._cursor = cursor
        except Exception:  # noqa: BLE001 — the client left, or takes nothing: there is nobody to tell
            self._connection.ended.set()


async def _received(receive: Receive) -> dict[str, Any]:
    """Return the next message that is a JSON object.

    Raises:
        _Over: The client left, or sent more than MESSAGE_BYTES_MAX at once.
    """
    while True:
        received = await receive()
        if received["type"] == "websocket.disconnect":
            raise _Over
        content = received.get("bytes") or (received.get("text") or "").encode()
        if len(content) > MESSAGE_BYTES_MAX:
            raise _Over(POLICY_VIOLATION)
        try:
            message = json.loads(content)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict):
            return message


def _after(scope: Scope) -> str | None:
    """Return the event after which the client wants the updates; None: from now on."""
    given: list[str] = parse_qs(scope["query_string"].decode("latin-1")).get("after", [])
    return given[-1] if given else None


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
    """Return the update as it goes over the wire; empty for an event that is not of a trade."""
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
