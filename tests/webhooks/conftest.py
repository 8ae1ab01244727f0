"""Customers' webhook servers, good and bad, and how a test makes time pass."""

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
    """A customer's server: it takes what is posted, and answers as it is told, hangs, or drips."""

    def __init__(self) -> None:
        self.status = 200
        self.hangs = self.drips = False
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.connections = self.under_way = self.most_under_way = 0
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
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            with client, suppress(OSError, ValueError):
                file = client.makefile("rb")
                while file.readline():
                    headers = dict(line.decode().rstrip().split(": ", 1) for line in iter(file.readline, b"\r\n"))
                    self.got.append((headers, file.read(int(headers["Content-Length"]))))
                    self._answer(client)
        finally:
            with self._lock:
                self.under_way -= 1

    def _answer(self, client: socket.socket) -> None:
        if self.hangs:
            self._stopped.wait(60)
        self.may_answer.wait(60)
        head = f"HTTP/1.1 {self.status} As Told\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n".encode()
        if not self.drips:
            client.sendall(head + b"\r\n")
            return
        client.sendall(head + b"X-Dripping: ")
        for _ in range(600):
            client.sendall(b"x")
            time.sleep(0.1)


@pytest.fixture
def receivers(settings: Any) -> Iterator[Callable[[], Receiver]]:
    """Starts customers' servers."""
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
    """Delivers everything that is due, and tells how many deliveries were tried."""
    deliverer = Deliverer()
    return lambda: deliverer.work(60)


def webhook(customer: Customer, url: str, **more: Any) -> Webhook:
    """A new webhook."""
    return subscriptions.create(customer.id, url, **more)[0]


def let_pauses_pass() -> None:
    """Let the pauses of every receiver and delivery be over."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_delivery SET next_at = now() - interval '1 s' WHERE next_at IS NOT NULL")
        cursor.execute("UPDATE webhooks_webhook SET retry_at = NULL, due_at = now() - interval '1 s'")


def age(webhook: Webhook, seconds: float) -> None:
    """Make it this much longer ago that a webhook began to fail."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE webhooks_webhook SET failing_since = failing_since - make_interval(secs => %s) WHERE id = %s",
            [seconds, webhook.id],
        )
