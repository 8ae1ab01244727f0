"""An exchange that misbehaves."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

from exchange import gateway, market

AT = "2026-11-26T12:00:00.000000Z"
"""The time of the bad exchange, which never changes."""


class BadExchange:
    """Sends every caller the same bytes, or lets `handle` do as it likes with the socket.

    `requests` are the first bytes of each connection. `ended` is set when the test is over.
    """

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.handle: Callable[[socketserver.BaseRequestHandler], object] = lambda handler: None
        self.ended = threading.Event()
        bad_exchange = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    bad_exchange.requests.append(self.request.recv(65_536))
                    bad_exchange.handle(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def respond(self, body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> None:
        """Set the response to every connection from now on."""
        length = len(body) if length is None else length
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {length}", f"Exchange-Time: {AT}", *headers])
        raw = head.encode() + b"\r\nConnection: close\r\n\r\n" + body
        self.handle = lambda handler: handler.request.sendall(raw)

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def bad_exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadExchange]:
    """Replace the exchange with one that misbehaves."""
    bad_exchange = BadExchange()
    monkeypatch.setattr(settings, "EXCHANGE_URL", bad_exchange.url)
    gateway.forget()
    market.forget()
    yield bad_exchange
    bad_exchange.close()
    gateway.forget()
