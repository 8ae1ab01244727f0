"""The `stream` process's application within the test's process, and clients that read as fast as a test wants."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts import tokens
from accounts.models import Customer
from accounts.tokens import Issued
from brokerage.asgi import Application

SECONDS_MAX = 15.0


class Client:
    """One connection to the application. While `reads` is cleared, the client reads nothing."""

    def __init__(self, application: Application, scope: dict[str, Any]) -> None:
        self.sent: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._message_arrived = asyncio.Condition()
        defaults = {"query_string": b"", "headers": [], "client": ("192.0.2.1", 5000)}
        self.task = asyncio.create_task(application(defaults | scope, self._inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        async with self._message_arrived:
            self.sent.append(message)
            self._message_arrived.notify_all()

    def put(self, message: dict[str, Any]) -> None:
        self._inbox.put_nowait(message)

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until the messages that were sent make this condition true."""

        async def wait() -> None:
            async with self._message_arrived:
                await self._message_arrived.wait_for(lambda: bool(condition()))

        await asyncio.wait_for(wait(), SECONDS_MAX)

    async def ended(self) -> None:
        """Wait until the application has ended the connection."""
        await asyncio.wait_for(asyncio.shield(self.task), SECONDS_MAX)

    async def leave(self) -> None:
        self.put({"type": "http.disconnect"})
        self.put({"type": "websocket.disconnect"})
        await self.ended()


class EventClient(Client):
    """A client of `GET /api/v1/events`."""

    def __init__(self, application: Application, token: str, query: str = "", **more: Any) -> None:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        headers += [
            (name.replace("_", "-").encode(), value.encode()) for name, value in more.pop("headers", {}).items()
        ]
        scope = {"type": "http", "method": "GET", "path": "/api/v1/events", "query_string": query.encode()}
        super().__init__(application, scope | {"headers": headers} | more)

    async def status(self) -> int:
        await self.wait_until(lambda: self.sent)
        return int(self.sent[0]["status"])

    @property
    def body(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    @property
    def event_ids(self) -> list[str]:
        return [block.split("\n")[0].removeprefix("id: ") for block in self.body.split("\n\n") if "data: " in block]


class SocketClient(Client):
    """A client of the WebSocket."""

    def __init__(self, application: Application, query: str = "") -> None:
        super().__init__(application, {"type": "websocket", "path": "/alpaca/stream", "query_string": query.encode()})
        self.put({"type": "websocket.connect"})

    def send(self, action: str, **data: Any) -> None:
        self.put({"type": "websocket.receive", "text": json.dumps({"action": action, "data": data})})

    async def sign_in(self, issued: Issued) -> None:
        self.send("authenticate", key_id=issued.key_id, secret_key=issued.secret_key)
        await self.wait_until(lambda: self.received("authorization"))

    async def listen(self, *streams: str) -> None:
        before = len(self.received("listening"))
        self.send("listen", streams=list(streams))
        await self.wait_until(lambda: len(self.received("listening")) > before or self.code)

    def received(self, stream: str) -> list[dict[str, Any]]:
        messages = [json.loads(message["bytes"]) for message in self.sent if message["type"] == "websocket.send"]
        return [message["data"] for message in messages if message["stream"] == stream]

    @property
    def event_ids(self) -> list[str]:
        return [update["event_id"] for update in self.received("trade_updates")]

    @property
    def code(self) -> int | None:
        return next((message["code"] for message in self.sent if message["type"] == "websocket.close"), None)


@pytest.fixture
def application() -> Iterator[Application]:
    application = Application()
    yield application
    application.close()


@pytest.fixture
def token_of() -> Callable[[Customer], Issued]:
    return lambda customer: tokens.issue(customer, "stream")
