"""Customers' webhook servers, working and broken, and functions that let time pass."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection

from accounts.models import Customer
from webhooks import subscriptions
from webhooks.delivery import Deliverer
from webhooks.models import Webhook


class Receiver:
    """A customer's server that records requests and answers with `status`, hangs, or sends its response slowly."""

    def __init__(self) -> None:
        self.status = 200
        self.hangs = self.drips = False
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = self.open_connections = self.open_connections_max = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?a=1"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError):
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self.open_connections += 1
            self.open_connections_max = max(self.open_connections_max, self.open_connections)
        try:
            with client, suppress(OSError, ValueError):
                file = client.makefile("rb")
                while file.readline():
                    headers = dict(line.decode().rstrip().split(": ", 1) for line in iter(file.readline, b"\r\n"))
                    self.requests.append((headers, file.read(int(headers["Content-Length"]))))
                    self._answer(client)
        finally:
            with self._lock:
                self.open_connections -= 1

    def _answer(self, client: socket.socket) -> None:
        if self.hangs:
            self._stopped.wait(60)
        self.may_answer.wait(60)
        head = f"HTTP/1.1 {self.status} As Set\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n".encode()
        if not self.drips:
            client.sendall(head + b"\r\n")
            return
        client.sendall(head + b"X-Dripping: ")
        for _ in range(600):
            client.sendall(b"x")
            time.sleep(0.1)


@pytest.fixture
def receivers(settings: Any) -> Iterator[Callable[[], Receiver]]:
    """Provide a function that starts a customer's server."""
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    started: list[Receiver] = []

    def start() -> Receiver:
        started.append(Receiver())
        return started[-1]

    yield start
    for receiver in started:
        receiver.stop()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


@pytest.fixture
def deliver() -> Callable[[], int]:
    """Provide a function that delivers everything that is due and returns the number of attempts."""
    deliverer = Deliverer()
    return lambda: deliverer.work(60)


def create_webhook(customer: Customer, url: str, **more: Any) -> Webhook:
    """Create a webhook."""
    return subscriptions.create(customer.id, url, **more)[0]


def let_pauses_pass() -> None:
    """End the pauses of all webhooks and deliveries."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_delivery SET next_at = now() - interval '1 s' WHERE next_at IS NOT NULL")
        cursor.execute("UPDATE webhooks_webhook SET retry_at = NULL, due_at = now() - interval '1 s'")


def backdate_first_failure(webhook: Webhook, seconds: float) -> None:
    """Move the time when a webhook began to fail this many seconds into the past."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_webhook SET failing_since = failing_since - make_interval(secs => %s) WHERE id = %s",
            [seconds, webhook.id],
        )
