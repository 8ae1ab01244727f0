"""The web socket of the Alpaca-compatible API: `trade_updates`, in binary frames as Alpaca sends them."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from alpaca_api import serializers
from feed import reader
from feed.hub import Ended, Hub, Stream
from feed.reader import Cursor, Event
from feed.stream import HEARTBEAT_SECONDS, Database, Receive, RequestRefused, Scope, Send, readable
from trades.models import Status
from web.authentication import UNKNOWN_KEY_PAIR, Grant, grant_of_pair

SIGN_IN_SECONDS_MAX = 10.0
MESSAGE_BYTES_MAX = 65_536
PATHS = ("/alpaca/stream", "/stream")
NO_SUCH_PATH, POLICY_VIOLATION, NORMAL_CLOSURE = 4404, 1008, 1000
EVENTS = {Status.PLACED: "accepted", Status.IN_PROGRESS: "new", Status.FILLED: "fill"}

Say = Callable[[str, dict[str, Any]], Awaitable[None]]


class _Gone(Exception):
    """The client has left, or is sent away."""


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

        async def say(stream: str, data: dict[str, Any]) -> None:
            body = json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()
            await send({"type": "websocket.send", "bytes": body})

        with contextlib.suppress(_Gone, asyncio.TimeoutError):
            grant = await asyncio.wait_for(self._signed_in(receive, say), SIGN_IN_SECONDS_MAX)
            await self._serve(grant, receive, send, say)
        with contextlib.suppress(Exception):
            await send({"type": "websocket.close", "code": NORMAL_CLOSURE})

    async def _serve(self, grant: Grant, receive: Receive, send: Send, say: Say) -> None:
        """Listen and stop listening as the client asks, until it leaves."""
        listening: asyncio.Task[None] | None = None
        try:
            cursor = await self._database.run(reader.now)
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
                    listening = asyncio.create_task(self._send_updates(grant, cursor, say, send))
        except RequestRefused as refused:
            await say("error", {"error": refused.detail})
        finally:
            if listening:
                listening.cancel()
                await asyncio.wait([listening])

    async def _signed_in(self, receive: Receive, say: Say) -> Grant:
        """Wait until the client has sent a valid key pair.

        Raises:
            _Gone: The pair is not valid, or the client left.
        """
        while True:
            message = await _message(receive)
            inner = message.get("data")
            data: dict[str, Any] = inner if isinstance(inner, dict) else message
            if message.get("action") in ("authenticate", "auth"):
                pair = (data.get("key_id") or message.get("key"), data.get("secret_key") or message.get("secret"))
                try:
                    grant = await self._database.run(_authorize, *pair)
                except RequestRefused:
                    await say("authorization", {"status": "unauthorized", "action": "authenticate"})
                    raise _Gone from None
                await say("authorization", {"status": "authorized", "action": "authenticate"})
                return grant
            await say("authorization", {"status": "unauthorized", "action": "listen"})

    async def _send_updates(self, grant: Grant, cursor: Cursor, say: Say, send: Send) -> None:
        stream = Stream(grant, cursor)
        with self._hub.opened(stream), contextlib.suppress(Exception):
            with contextlib.suppress(Ended):
                while True:
                    for event in await self._hub.next(stream, HEARTBEAT_SECONDS):
                        await say("trade_updates", _trade_update(event))
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})


async def _message(receive: Receive) -> dict[str, Any]:
    """Return the next message that is a JSON object.

    Raises:
        _Gone: The client left, or sent more than MESSAGE_BYTES_MAX at once.
    """
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


def _authorize(key_id: Any, secret_key: Any) -> Grant:
    is_pair = isinstance(key_id, str) and isinstance(secret_key, str)
    grant = grant_of_pair(key_id, secret_key) if is_pair else None
    if grant is None:
        raise RequestRefused(401, "authentication_failed", UNKNOWN_KEY_PAIR)
    return readable(grant)


def _trade_update(event: Event) -> dict[str, Any]:
    trade = event.trade
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
    return update
