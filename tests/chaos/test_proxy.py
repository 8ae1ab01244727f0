"""Each fault of a link has its documented effect on connections."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from local import ports

pytestmark = pytest.mark.process

Send = Callable[..., None]


@pytest.fixture
def echo() -> Iterator[int]:
    """Start an echo server; yield its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo_back, args=(connection,), daemon=True).start()

    def echo_back(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while chunk := connection.recv(4096):
                connection.sendall(chunk)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def link(echo: int) -> Iterator[tuple[int, Send]]:
    """Start a link to the echo server; yield its port and a function that sends commands to the proxy."""
    port = ports.choose()
    with subprocess.Popen(
        [sys.executable, "-m", "chaos.proxy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as proxy:

        def send(**command: Any) -> None:
            assert proxy.stdin
            assert proxy.stdout
            proxy.stdin.write(json.dumps({"link": "link", **command}).encode() + b"\n")
            proxy.stdin.flush()
            proxy.stdout.readline()

        send(listen=port, targets=[ports.choose(), echo])  # the first refuses connections, so the second is used
        yield port, send
        proxy.kill()


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 1)
    connection.settimeout(0.4)
    return connection


def echoed(connection: socket.socket, payload: bytes = b"hello") -> bytes | type[Exception]:
    try:
        connection.sendall(payload)
        return connection.recv(4096)
    except OSError as error:
        return type(error)


def test_without_a_fault_everything_passes(link: tuple[int, Send]) -> None:
    with connect(link[0]) as connection:
        assert echoed(connection) == b"hello"


def test_a_stall_delays(link: tuple[int, Send]) -> None:
    port, send = link
    with connect(port) as connection:
        echoed(connection)
        send(fault="stall")
        assert echoed(connection) is TimeoutError
        send(fault=None)
        assert connection.recv(4096) == b"hello"


@pytest.mark.parametrize("fault", ["blackhole", "deaf"])
def test_a_black_hole_swallows_and_then_resets(link: tuple[int, Send], fault: str) -> None:
    port, send = link
    with connect(port) as connection:
        echoed(connection)
        send(fault=fault)
        assert echoed(connection) is TimeoutError
        send(fault=None)
        assert echoed(connection) in {ConnectionResetError, BrokenPipeError, b""}
    with connect(port) as connection:
        assert echoed(connection) == b"hello"


def test_a_cut_resets_open_connections(link: tuple[int, Send]) -> None:
    port, send = link
    with connect(port) as connection:
        echoed(connection)
        send(cut=True)
        assert echoed(connection) is ConnectionResetError
    with connect(port) as connection:
        assert echoed(connection) == b"hello"


def test_a_refusal_resets_new_connections(link: tuple[int, Send]) -> None:
    port, send = link
    send(fault="refuse")
    with suppress(ConnectionError), connect(port) as connection:
        connection.sendall(b"hello")
        assert connection.recv(4096) == b""


def test_half_cuts_a_response_in_the_middle(link: tuple[int, Send]) -> None:
    port, send = link
    send(fault="half")
    with connect(port) as connection:
        assert echoed(connection) in {b"he", ConnectionResetError}
        assert echoed(connection) in {ConnectionResetError, BrokenPipeError, b""}


def test_slow_delays_every_chunk(link: tuple[int, Send]) -> None:
    port, send = link
    send(fault="slow")
    with connect(port) as connection:
        connection.settimeout(3)
        started_at = time.monotonic()
        assert echoed(connection) == b"hello"
        assert time.monotonic() - started_at >= 0.4
