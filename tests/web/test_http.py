"""Calls to other people's servers end by their deadline, whatever the server does."""

import contextlib
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from web import http
from web.http import Client, NoAnswer, PinnedClient

SECONDS_MAX = 0.6
LATE_SECONDS_MAX = 0.4  # the most that a busy machine adds
Behavior = Callable[[socket.socket, threading.Event], None]


class Server:
    """A TCP server that does the same with every connection."""

    def __init__(self, act: Behavior, context: ssl.SSLContext | None = None) -> None:
        self.ended, self.connections = threading.Event(), 0
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                server.connections += 1
                with contextlib.suppress(OSError):
                    sock = context.wrap_socket(self.request, server_side=True) if context else self.request
                    act(sock, server.ended)
                    sock.close()

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/path?query=1"

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(act: Behavior, context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(act, context))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def receive(sock: socket.socket) -> bytes:
    """Return the next request: its head and its body, which may come in any number of pieces; less if no more comes."""
    request = piece = sock.recv(65_536)
    while piece and not _is_complete(request):
        request += (piece := sock.recv(65_536))
    return request


def _is_complete(request: bytes) -> bool:
    head, end_of_head, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return bool(end_of_head) and len(body) >= int(length[1] if length else 0)


def drip(before: bytes, piece: bytes) -> Behavior:
    """Read the request, send `before`, and then send `piece` again and again."""

    def act(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65_536)
        sock.sendall(before)
        while not ended.wait(0.05):
            sock.sendall(piece)

    return act


def never_answer(sock: socket.socket, ended: threading.Event) -> None:
    ended.wait(30)


def respond(raw: bytes) -> Behavior:
    def act(sock: socket.socket, ended: threading.Event) -> None:
        while receive(sock):
            sock.sendall(raw)

    return act


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"
SLOW: dict[str, Behavior] = {
    "never answers": never_answer,
    "drips the status line": drip(b"HTTP/1.1 200 ", b"O"),
    "drips one header": drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "drips headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"),
    "drips interim answers": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "drips the body": drip(HEAD, b" "),
    "drips a chunk's length": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "drips a body without a length": drip(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
}


@pytest.mark.parametrize("act", SLOW.values(), ids=SLOW)
def test_a_call_ends_at_its_deadline_whichever_part_is_slow(serve: Callable[..., Server], act: Behavior) -> None:
    server, client = serve(act), Client()
    pinned = PinnedClient(server.url, "127.0.0.1")
    for call in (partial(client.call, "GET", server.url), partial(pinned.call, "GET", body_bytes_max=1)):
        started_at = time.monotonic()
        with pytest.raises(NoAnswer):
            call(seconds_max=SECONDS_MAX)
        assert time.monotonic() - started_at < SECONDS_MAX + LATE_SECONDS_MAX
    assert server.connections == 2, "no call is repeated"


def test_a_call_to_a_server_that_does_not_read_ends_at_its_deadline(serve: Callable[..., Server]) -> None:
    server, started_at = serve(never_answer), time.monotonic()
    with pytest.raises(NoAnswer):
        Client().call("POST", server.url, seconds_max=SECONDS_MAX, body=b"x" * 50_000_000)
    assert time.monotonic() - started_at < SECONDS_MAX + LATE_SECONDS_MAX


def test_a_call_with_an_endless_handshake_ends_at_its_deadline(serve: Callable[..., Server]) -> None:
    server, started_at = serve(drip(b"", b"\x16")), time.monotonic()
    with pytest.raises(NoAnswer):
        Client().call("GET", f"https://127.0.0.1:{server.port}/", seconds_max=SECONDS_MAX)
    assert time.monotonic() - started_at < SECONDS_MAX + LATE_SECONDS_MAX


def test_a_call_ends_at_its_deadline_if_the_name_server_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def never_resolve(*_: Any, **__: Any) -> Any:
        is_over.wait(30)
        raise OSError

    monkeypatch.setattr(http.socket, "getaddrinfo", never_resolve)
    started_at = time.monotonic()
    with pytest.raises(NoAnswer):
        Client().call("GET", "http://slow.example/", seconds_max=SECONDS_MAX)
    assert time.monotonic() - started_at < SECONDS_MAX + LATE_SECONDS_MAX
    is_over.set()


def test_every_address_of_a_name_is_tried(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(respond(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    real_getaddrinfo = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **more: Any) -> Any:
        hosts = ["127.0.0.2", "127.0.0.1"] if host == "name.example" else [host]
        return [row for address in hosts for row in real_getaddrinfo(address, *args, **more)]

    monkeypatch.setattr(http.socket, "getaddrinfo", getaddrinfo)
    assert Client().call("GET", f"http://name.example:{server.port}/", seconds_max=5).body == b"{}"


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), BrokenPipeError(32, "broken"), OSError("other")])
def test_an_error_while_connecting_is_reported_as_no_answer(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("socket.create_connection", fail)
    with pytest.raises(NoAnswer):
        Client().call("GET", "http://127.0.0.1:1/", seconds_max=1.0)


def test_a_connection_is_reused_for_later_calls(serve: Callable[..., Server]) -> None:
    server, client = serve(respond(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-Y: z\r\n\r\n{}")), Client()
    for _ in range(3):
        response = client.call("GET", server.url, seconds_max=5)
        assert (response.status, response.headers["x-y"], response.body) == (404, "z", b"{}")
    assert server.connections == 1
    time.sleep(0.7)
    assert client.call("GET", server.url, seconds_max=0.5).status == 404, "a call has its own deadline"


def test_a_pinned_client_keeps_its_connection_and_replaces_one_that_the_server_has_closed(
    serve: Callable[..., Server],
) -> None:
    """The server answers two requests on a connection and closes it after reading the third."""

    def act(sock: socket.socket, ended: threading.Event) -> None:
        for number in range(3):
            receive(sock)
            if number < 2:
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    server = serve(act)
    client = PinnedClient(server.url, "127.0.0.1")
    assert [client.call("POST", seconds_max=5, body=b"{}").status for _ in range(6)] == [200] * 6
    assert server.connections == 3
    client.close()


@pytest.mark.parametrize(
    ("raw", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 1),
        (HEAD, 3),  # never sends its body
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 3),
    ],
)
def test_an_unwanted_body_does_not_spoil_the_response(
    serve: Callable[..., Server], raw: bytes, connections: int
) -> None:
    """A short body is read and discarded, so that the connection can be reused."""
    server = serve(respond(raw))
    client = PinnedClient(server.url, "127.0.0.1")
    for _ in range(3):
        assert client.call("POST", seconds_max=SECONDS_MAX, body=b"{}").status == 200
    assert server.connections == connections
    client.close()


def test_redirects_are_returned_and_not_followed(serve: Callable[..., Server]) -> None:
    server = serve(respond(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"))
    assert Client().call("GET", server.url, seconds_max=5).status == 307
    assert server.connections == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789!\r\n0\r\n\r\n",
    ],
)
def test_a_body_is_read_up_to_a_limit(serve: Callable[..., Server], raw: bytes) -> None:
    server, client = serve(respond(raw)), Client()
    assert client.call("GET", server.url, seconds_max=5, body_bytes_max=11).body == b"0123456789!"
    with pytest.raises(NoAnswer, match="longer than 10 bytes"):
        client.call("GET", server.url, seconds_max=5, body_bytes_max=10)
    assert client.call("GET", server.url, seconds_max=5, body_bytes_max=0).body == b""


@pytest.mark.parametrize("raw", [b"", b"\x00\x01\r\n\r\n", HEAD + b"half", b"HTTP/1.1 2"])
def test_an_incomplete_response_counts_as_no_answer(serve: Callable[..., Server], raw: bytes) -> None:
    def act(sock: socket.socket, ended: threading.Event) -> None:
        sock.recv(65_536)
        sock.sendall(raw)

    with pytest.raises(NoAnswer):
        Client().call("GET", serve(act).url, seconds_max=5)


def test_a_closed_port_counts_as_no_answer() -> None:
    with pytest.raises(NoAnswer):
        Client().call("GET", "http://127.0.0.1:1/", seconds_max=5)


@pytest.mark.process  # openssl makes a certificate
def test_a_pinned_call_verifies_and_sends_the_host_name_of_the_url(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """The connection goes to the pinned address; the certificate and the Host header are those of the URL's host."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=name.example"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:name.example", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    requests: list[bytes] = []

    def act(sock: socket.socket, ended: threading.Event) -> None:
        requests.append(receive(sock))
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = serve(act, context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        http.tls_context.cache_clear()
        url = f"https://name.example:{server.port}/hook?x=1"
        assert PinnedClient(url, "127.0.0.1").call("POST", seconds_max=5, body=b"{}").status == 204
        with pytest.raises(NoAnswer) as caught:
            PinnedClient(url.replace("name", "other"), "127.0.0.1").call("POST", seconds_max=5, body=b"{}")
    http.tls_context.cache_clear()
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert requests[0].startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
    assert f"Host: name.example:{server.port}\r\n".encode() in requests[0]
