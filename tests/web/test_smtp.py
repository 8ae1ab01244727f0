"""A mail is sent or abandoned by its deadline, whatever the mail server does."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.core.mail import EmailMessage

from web.smtp import EmailBackend

SECONDS_MAX = 0.6
LATE_SECONDS_MAX = 0.4  # the most that a busy machine adds
Conversation = Callable[[socket.socket, threading.Event], None]


def drip(sock: socket.socket, ended: threading.Event) -> None:
    """Send a greeting that never ends, one byte at a time, so that no single read times out."""
    while not ended.wait(0.05):
        sock.sendall(b"2")


def hang(sock: socket.socket, ended: threading.Event) -> None:
    ended.wait(30)


def reply_slowly(sock: socket.socket, ended: threading.Event) -> None:
    """Send each reply in time, although together they take too long."""
    converse(sock, ended, 0.2)


def reply(sock: socket.socket, ended: threading.Event) -> None:
    converse(sock, ended, 0)


def drip_after_content(sock: socket.socket, ended: threading.Event) -> None:
    converse(sock, ended, 0, after_content=drip)


def converse(
    sock: socket.socket, ended: threading.Event, pause: float, after_content: Conversation | None = None
) -> None:
    lines = sock.makefile("rb")
    sock.sendall(b"220 here\r\n")
    in_content = False
    for line in lines:
        if in_content and line != b".\r\n":
            continue
        if in_content and after_content is not None:
            after_content(sock, ended)
        ended.wait(pause)
        in_content = line.upper().startswith(b"DATA")
        sock.sendall(b"354 go on\r\n" if in_content else b"250 ok\r\n")


@pytest.fixture
def serve() -> Iterator[Callable[[Conversation], EmailBackend]]:
    ended, listeners = threading.Event(), []

    def run(listener: socket.socket, conversation: Conversation) -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                conversation(sock, ended)

    def serve(conversation: Conversation) -> EmailBackend:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=run, args=(listener, conversation), daemon=True).start()
        return EmailBackend(host="localhost", port=listener.getsockname()[1], timeout=SECONDS_MAX)

    yield serve
    ended.set()
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("slow", [drip, hang, reply_slowly, drip_after_content])
def test_sending_through_a_slow_mail_server_ends_at_the_deadline(
    serve: Callable[[Conversation], EmailBackend], slow: Conversation
) -> None:
    backend, started_at = serve(slow), time.monotonic()
    with pytest.raises(TimeoutError, match="took longer than"):
        backend.send_messages([EmailMessage("Hello", "Words.", "us@example.com", ["carol@example.com"])])
    assert SECONDS_MAX <= time.monotonic() - started_at < SECONDS_MAX + LATE_SECONDS_MAX


def test_a_working_mail_server_accepts_the_message(serve: Callable[[Conversation], EmailBackend]) -> None:
    assert serve(reply).send_messages([EmailMessage("Hello", "Words.", "us@example.com", ["carol@example.com"])]) == 1


def test_a_refused_connection_is_raised_as_such(serve: Callable[[Conversation], EmailBackend]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        EmailBackend(host="127.0.0.1", port=port, timeout=SECONDS_MAX).send_messages(
            [EmailMessage("Hello", "Words.", "us@example.com", ["carol@example.com"])]
        )
