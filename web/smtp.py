"""Django's SMTP backend with one deadline for sending mail, from the DNS lookup to QUIT.

In Django's own backend, `EMAIL_TIMEOUT` limits only each read, so a server that sends a byte now and then blocks it
forever.
"""

import smtplib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from web.http import lookup

SECONDS_MAX = 10.0  # if no `timeout` is set
Watch = Callable[[socket.socket], None]


class EmailBackend(smtp.EmailBackend):
    """An email backend that gives up `timeout` seconds after `send_messages` was called."""

    _ends_at = 0.0
    _watched: socket.socket | None = None

    @property
    def connection_class(self) -> Any:
        kind = _SecureConnection if self.use_ssl else _Connection
        return partial(kind, remaining=self._remaining, watch=self._watch)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send mails; return how many were sent.

        Raises:
            OSError: The server is unavailable or too slow, or it refuses the mail.
        """
        seconds = float(self.timeout or SECONDS_MAX)
        self._ends_at = time.monotonic() + seconds
        timer = threading.Timer(seconds, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            return int(super().send_messages(email_messages) or 0)
        except OSError as error:
            if self._remaining() <= 0:
                raise TimeoutError(f"the mail server took longer than {seconds:g} s") from error
            raise
        finally:
            timer.cancel()
            self._drop_connection()

    def _remaining(self) -> float:
        return self._ends_at - time.monotonic()

    def _watch(self, sock: socket.socket) -> None:
        self._drop_connection()
        self._watched = sock.dup()  # TLS detaches the socket, but a duplicate can still shut the connection down
        if self._remaining() <= 0:
            self._give_up()

    def _give_up(self) -> None:
        if (watched := self._watched) is not None:
            with suppress(OSError):
                watched.shutdown(socket.SHUT_RDWR)

    def _drop_connection(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.close()


class _Connection(smtplib.SMTP):
    def __init__(self, *args: Any, remaining: Callable[[], float], watch: Watch, **kwargs: Any) -> None:
        self._remaining, self._watch = remaining, watch
        super().__init__(*args, **kwargs)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        last = OSError(f"{host} has no address")
        for address in lookup(host, port, self._remaining()):
            try:
                sock = socket.create_connection((address, port), max(self._remaining(), 0.001), self.source_address)
            except OSError as error:
                last = error
                continue
            sock.settimeout(timeout)
            self._watch(sock)
            return sock
        raise last


class _SecureConnection(smtplib.SMTP_SSL, _Connection):
    pass
