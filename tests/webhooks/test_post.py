"""A failed post is explained to the webhook's owner in one sentence."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from webhooks.post import Receiver


@pytest.fixture
def closing_port() -> Iterator[int]:
    """Run a server that closes every connection after the first bytes, and provide its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65_536)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize(
    ("scheme", "text"),
    [
        ("http", "The connection broke before an answer arrived."),
        ("https", "A secure connection could not be established."),
    ],
)
def test_a_server_that_closes_the_connection(closing_port: int, settings: Any, scheme: str, text: str) -> None:
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    with Receiver(f"{scheme}://127.0.0.1:{closing_port}/") as receiver:
        for _ in range(2):
            response = receiver.post({}, b"{}")
            assert (response.status, response.text) == (None, text)


def test_a_server_that_refuses_the_connection(settings: Any) -> None:
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    with Receiver("http://127.0.0.1:1/") as receiver:
        assert receiver.post({}, b"{}").text == "The connection was refused."


def test_an_address_that_may_not_be_posted_to() -> None:
    with Receiver("https://127.0.0.1/") as receiver:
        assert receiver.post({}, b"{}").text == "The host is on a private network."
