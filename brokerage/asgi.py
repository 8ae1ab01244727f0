"""The ASGI application of the `stream` process: server-sent events of the API and of pages, and the Alpaca socket."""

import os
from typing import Any

import django
import structlog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "brokerage.settings")
django.setup()

from alpaca_api.socket import TradeUpdates  # noqa: E402 — settings come first
from brokerage.request_id import HEADER, request_id  # noqa: E402
from feed.hub import Hub  # noqa: E402
from feed.page_stream import PageStream  # noqa: E402
from feed.stream import Database, EventStream, Receive, Scope, Send, send_json  # noqa: E402
from web.problems import problem  # noqa: E402


class Application:
    """Routes requests to the streams that the `stream` process serves."""

    def __init__(self) -> None:
        self._hub, self._database = Hub(), Database()
        self._events = EventStream(self._hub, self._database)
        self._pages = PageStream(self._hub, self._database)
        self._trade_updates = TradeUpdates(self._hub, self._database)

    def close(self) -> None:
        """Close the threads and their connections to the database."""
        self._hub.close()
        self._pages.close()
        self._database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        header = next((value for name, value in scope["headers"] if name == HEADER.lower().encode()), b"")
        id = request_id(header.decode("latin-1"))

        async def send_with_id(message: dict[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", []), (HEADER.lower().encode(), id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=id):
            await self._route(scope, receive, send_with_id)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._trade_updates(scope, receive, send)
        elif scope["path"] == "/healthz":
            await send_json(send, 200, {"ok": True})
        elif scope["path"] == "/api/v1/events":
            await self._events(scope, receive, send)
        elif scope["path"] == "/pages/stream":
            await self._pages(scope, receive, send)
        else:
            await send_json(send, 404, problem(404, "not_found", "There is nothing at this address."))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            kind: Any = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                self.close()
                return


application = Application()
