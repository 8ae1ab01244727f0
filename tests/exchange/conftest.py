"""An exchange that misbehaves."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

from exchange import gateway, market

AT = "2026-11-26T12:00:00.000000Z"
"""The time of the odd exchange, which stands still."""


class OddExchange:
    """Answers every connection with the same bytes, whatever it is asked, or does as it is told with the socket."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.act: Callable[[socketserver.BaseRequestHandler], object] = lambda handler: None
        self.ended = threading.Event()
        odd = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    odd.asked.append(self.request.recv(65_536))
                    odd.act(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answers(self, body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> None:
        """Set the response to every connection from now on."""
        length = len(body) if length is None else length
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {length}", f"Exchange-Time: {AT}", *headers])
        raw = head.encode() + b"\r\nConnection: close\r\n\r\n" + body
        self.act = lambda handler: handler.request.sendall(raw)

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddExchange]:
    """Replace the exchange with one that misbehaves."""
    odd = OddExchange()
    monkeypatch.setattr(settings, "EXCHANGE_URL", odd.url)
    gateway.forget()
    market.forget()
    yield odd
    odd.close()
    gateway.forget()
