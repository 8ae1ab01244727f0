"""Rings through RabbitMQ: nodes that do not answer delay them only briefly."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from amqp import spec
from amqp.serialization import dumps

from trades import lane
from trades.broker import forget_broker
from trades.rabbitmq import publisher
from web.patience import limited_patience

RING_SECONDS_MAX = 5.0
"""Nodes that do not answer cost about 1 s in all on a quiet machine. Waiting for their answers takes a minute."""


class SilentNode:
    """Accepts connections, and opens them if `opens`; then it answers nothing, like a node cut off from its peers."""

    def __init__(self, opens: bool) -> None:
        self._opens = opens
        self._server = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self.received = b""
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._server.getsockname()[1]}//"

    @property
    def connections(self) -> int:
        return len(self._clients)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self.received += client.recv(8)
            if self._opens:
                properties = {"capabilities": {"connection.blocked": True}}
                start = 0, 9, properties, b"AMQPLAIN PLAIN", b"en_US"
                self._send(client, 0, spec.Connection.Start, dumps("ooFSS", start))
                self._receive(client)
                self._send(client, 0, spec.Connection.Tune, dumps("BlB", (2047, 131_072, 0)))
                self._receive(client)  # tune-ok
                self._receive(client)  # open
                self._send(client, 0, spec.Connection.OpenOk, b"\x00")
                self._receive(client)
                self._send(client, 1, spec.Channel.OpenOk, dumps("S", (b"",)))
            while data := client.recv(4096):
                self.received += data

    @staticmethod
    def _send(client: socket.socket, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        content = struct.pack(">HH", *method) + arguments
        client.sendall(struct.pack(">BHI", 1, channel, len(content)) + content + b"\xce")

    @staticmethod
    def _receive(client: socket.socket) -> None:
        _, _, size = struct.unpack(">BHI", client.recv(7, socket.MSG_WAITALL))
        client.recv(size + 1, socket.MSG_WAITALL)

    def hang_up(self) -> None:
        for client in self._clients:
            client.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        for open_socket in (self._server, *self._clients):
            open_socket.close()


@pytest.fixture
def nodes(settings: Any) -> Iterator[Callable[..., list[SilentNode]]]:
    """Provide a function that starts nodes, and rings through them until the test ends."""
    started: list[SilentNode] = []

    def start(*opens: bool) -> list[SilentNode]:
        started.extend(SilentNode(opens=each) for each in opens)
        settings.BROKER_IS_RABBITMQ = True
        settings.BROKER_URLS = [node.url for node in started]
        settings.BROKER_URL = ";".join(settings.BROKER_URLS)
        return started

    forget_broker()
    yield start
    publisher().drop()
    forget_broker()
    for node in started:
        node.stop()


def seconds_of_a_ring() -> tuple[float, bool]:
    started_at = time.monotonic()
    is_rung = lane.ring([1])
    return time.monotonic() - started_at, is_rung


def test_nodes_that_do_not_answer_delay_one_ring_and_briefly(nodes: Callable[..., list[SilentNode]]) -> None:
    silent = nodes(False, False, False)
    seconds, is_rung = seconds_of_a_ring()
    assert not is_rung
    assert seconds < RING_SECONDS_MAX
    tried = [node.connections for node in silent]
    assert max(tried) == 1
    assert not lane.ring([1])
    assert [node.connections for node in silent] == tried, "the process rings no more for a moment"


def test_a_request_without_time_tries_one_node(nodes: Callable[..., list[SilentNode]]) -> None:
    silent = nodes(False, False, False)
    with limited_patience(0.0):
        assert not lane.ring([1])
    assert sum(node.connections for node in silent) == 1


def test_the_next_node_takes_the_ring_and_those_after_it(nodes: Callable[..., list[SilentNode]]) -> None:
    silent, other = nodes(False, True)
    seconds, is_rung = seconds_of_a_ring()
    assert is_rung
    assert seconds < RING_SECONDS_MAX
    assert all(lane.ring([customer]) for customer in range(1, 20))
    assert (silent.connections, other.connections) == (1, 1)


def test_a_ring_waits_for_no_answer_once_the_connection_is_open(nodes: Callable[..., list[SilentNode]]) -> None:
    (node,) = nodes(True)
    assert lane.ring([1])
    seconds = [seconds_of_a_ring()[0] for _ in range(lane.CUSTOMERS_PER_TURN_MAX)]
    assert max(seconds) < RING_SECONDS_MAX, "not even to declare the queue of a lane that has not rung before"
    assert all(lane.ring([customer]) for customer in range(2, 50))
    ends_at = time.monotonic() + 10
    while node.received.count(b"trades.turn") < 49 and time.monotonic() < ends_at:
        time.sleep(0.01)
    assert node.received.count(b"trades.turn") >= 49
    assert node.connections == 1


def test_a_connection_that_the_node_has_closed_is_replaced_within_the_ring(
    nodes: Callable[..., list[SilentNode]],
) -> None:
    (node,) = nodes(True)
    assert lane.ring([1])
    node.hang_up()
    time.sleep(0.1)
    assert lane.ring([1])
    assert node.connections == 2
