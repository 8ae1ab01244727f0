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
LATE_SECONDS_MAX = 0.4  # what a busy machine adds
Talk = Callable[[socket.socket, threading.Event], None]


def drip(sock: socket.socket, ended: threading.Event) -> None:
    """A greeting without end: each read gets something in time."""
    while not ended.wait(0.05):
        sock.sendall(b"2")


def hang(sock: socket.socket, ended: threading.Event) -> None:
    ended.wait(30)


def answer_slowly(sock: socket.socket, ended: threading.Event) -> None:
    """Every answer is in time, and all together are not."""
    talk(sock, ended, 0.2)


def answer(sock: socket.socket, ended: threading.Event) -> None:
    talk(sock, ended, 0)


def drip_after_content(sock: socket.socket, ended: threading.Event) -> None:
    talk(sock, ended, 0, then=drip)


def talk(sock: socket.socket, ended: threading.Event, pause: float, then: Talk | None = None) -> None:
    lines = sock.makefile("rb")
    sock.sendall(b"220 here\r\n")
    in_content = False
    for line in lines:
        if in_content and line != b".\r\n":
            continue
        if in_content and then is not None:
            then(sock, ended)
        ended.wait(pause)
        in_content = line.upper().startswith(b"DATA")
        sock.sendall(b"354 go on\r\n" if in_content else b"250 ok\r\n")


@pytest.fixture
def serve() -> Iterator[Callable[[Talk], EmailBackend]]:
    ended, listeners = threading.Event(), []

    def run(listener: socket.socket, talk: Talk) -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                talk(sock, ended)

    def serve(talk: Talk) -> EmailBackend:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=run, args=(listener, talk), daemon=True).start()
        return EmailBackend(host="localhost", port=listener.getsockname()[1], timeout=SECONDS_MAX)

    yield serve
    ended.set()
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("slow", [drip, hang, answer_slowly, drip_after_content])
def test_a_slow_mail_server_is_left_by_the_deadline(serve: Callable[[Talk], EmailBackend], slow: Talk) -> None:
    backend, began = serve(slow), time.monotonic()
    with pytest.raises(TimeoutError, match="took longer than"):
        backend.send_messages([EmailMessage("Hello", "Words.", "us@example.com", ["carol@example.com"])])
    assert SECONDS_MAX <= time.monotonic() - began < SECONDS_MAX + LATE_SECONDS_MAX


def test_a_good_mail_server_takes_it(serve: Callable[[Talk], EmailBackend]) -> None:
    assert serve(answer).send_messages([EmailMessage("Hello", "Words.", "us@example.com", ["carol@example.com"])]) == 1


def test_a_server_that_refuses_the_connection_is_told_as_it_is(serve: Callable[[Talk], EmailBackend]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        EmailBackend(host="127.0.0.1", port=port, timeout=SECONDS_MAX).send_messages(
            [EmailMessage("Hello", "Words.", "us@example.com", ["carol@example.com"])]
        )
