"""Parts that are away in ways that take longest to notice: they accept everything and answer nothing.

Each function here is a context that prepares a fault for this process, and yields a function that makes it happen.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import connection

from brokerage.database import hosts
from exchange import gateway, market, prices
from trades.broker import forget_broker
from web import rate_limits

LOCKED = ("accounts_customer", "trades_tradecounter", "accounts_balance", "trades_trade")


class Link:
    """A way to a server that can be cut: whoever connects or is connected then gets no answer."""

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        """
        Args:
            target: The server; None: there is none, and nothing is ever answered.
        """
        self._target, self._is_open = target, threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._ends: list[socket.socket] = []
        if target:
            self._is_open.set()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        self._is_open.clear()

    def close(self) -> None:
        """End all connections, including one that is being accepted."""
        _close(self._server)
        self._accepting.join(10)
        for end in self._ends:
            _close(end)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._ends.append(client)
                if self._target and self._is_open.is_set():
                    server = socket.create_connection(self._target)
                    self._ends.append(server)
                    for ends in ((client, server), (server, client)):
                        threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._is_open.is_set():
                    target.sendall(data)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def _connect_to(*ports: int) -> Iterator[None]:
    """Let this process find the database at these ports of this machine."""
    original = {name: connection.settings_dict[name] for name in ("HOST", "PORT")}
    connection.close()
    hosts.forget()
    connection.settings_dict.update(HOST=",".join(["127.0.0.1"] * len(ports)), PORT=",".join(map(str, ports)))
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(original)
        hosts.forget()


@contextmanager
def primary_cut() -> Iterator[Callable[[], None]]:
    """The connections stay open, and nothing comes back on them."""
    link, other = Link((connection.settings_dict["HOST"], int(connection.settings_dict["PORT"]))), Link()
    other.close()
    with _connect_to(link.port, other.port):
        yield link.cut
    link.close()


@contextmanager
def hosts_that_answer_nothing() -> Iterator[Callable[[], None]]:
    links = [Link() for _ in range(3)]
    with _connect_to(*(link.port for link in links)):
        yield lambda: None
    for link in links:
        link.close()


@contextmanager
def hosts_that_are_unreachable() -> Iterator[Callable[[], None]]:
    with ExitStack() as stack:
        ports = []
        for _ in range(3):
            server = stack.enter_context(socket.socket())
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            for _ in range(2):  # fill the queue, so that the next SYN is dropped
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(server.getsockname())
            ports.append(server.getsockname()[1])
        with _connect_to(*ports):
            yield lambda: None


@contextmanager
def rows_locked() -> Iterator[Callable[[], None]]:
    address = {name: connection.settings_dict[name.upper()] for name in ("host", "port", "user", "password")}
    with psycopg.connect(**address, dbname=connection.settings_dict["NAME"]) as session:

        def lock() -> None:
            for table in LOCKED:
                session.execute(f"SELECT FROM {table} FOR UPDATE".encode())

        yield lock
        session.rollback()


@contextmanager
def valkey_silent() -> Iterator[Callable[[], None]]:
    link = Link()

    def cut() -> None:
        changed = f"redis://127.0.0.1:{link.port}/0"
        patch.setattr(settings, "BROKER_URL", changed)
        patch.setattr(settings, "CACHE_URL", changed)
        patch.setitem(settings.CACHES["default"], "LOCATION", changed)
        _reconnect_to_valkey()

    with pytest.MonkeyPatch.context() as patch:
        yield cut
    _reconnect_to_valkey()
    link.close()


def _reconnect_to_valkey() -> None:
    with suppress(AttributeError):
        del caches["default"]
    forget_broker()
    rate_limits.reset()


@contextmanager
def exchange_silent() -> Iterator[Callable[[], None]]:
    link = Link()

    def cut() -> None:
        patch.setattr(settings, "EXCHANGE_URL", f"http://127.0.0.1:{link.port}")
        for module in (gateway, market, prices):
            module.forget()

    with pytest.MonkeyPatch.context() as patch:
        yield cut
    link.close()
