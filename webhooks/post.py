"""One POST to a receiver, with a deadline for all of it: connecting, sending, and the head of the answer.

A time-out for each read would not do: a receiver that sends a byte now and then would never meet it.
"""

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import SplitResult

from webhooks.addresses import AddressRefused, resolve

POST_SECONDS_MAX = 5.0
CONNECT_SECONDS_MAX = 3.0
BODY_BYTES_READ_MAX = 4096  # a longer answer costs its connection, which is not used again


@dataclass(frozen=True, slots=True)
class Answer:
    """How a POST went: the status where there was one, and a sentence for the webhook's owner."""

    status: int | None
    text: str

    @property
    def is_success(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


class _Late(Exception):
    """The deadline has passed."""


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def left_seconds(self) -> float:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise _Late
        return left


class _Socket(socket.socket):
    """A socket whose every read and write ends at one deadline."""

    deadline: _Deadline

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(self.deadline.left_seconds())
        return super().recv_into(*arguments, **options)

    def sendall(self, *arguments: Any) -> None:
        self.settimeout(self.deadline.left_seconds())
        super().sendall(*arguments)


class _TLSSocket(ssl.SSLSocket):
    """The same over TLS."""

    deadline: _Deadline

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(self.deadline.left_seconds())
        return super().recv_into(*arguments, **options)

    def send(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(self.deadline.left_seconds())  # `sendall` is made of these
        return super().send(*arguments, **options)


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.sslsocket_class = _TLSSocket
    return context


class Receiver:
    """A customer's server, for some posts after each other: they share a connection while it lasts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._parts: SplitResult | None = None
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post once, in POST_SECONDS_MAX at most. Never raises."""
        deadline = _Deadline(POST_SECONDS_MAX)
        was_kept = self._connection is not None
        try:
            try:
                return self._post(deadline, headers, body)
            except (http.client.RemoteDisconnected, ConnectionError):
                if not was_kept:
                    raise
                self._close()  # it had ended meanwhile, as it may: once more, on a new one
                return self._post(deadline, headers, body)
        except AddressRefused as refusal:
            answer = Answer(None, str(refusal)[:200])
        except (_Late, TimeoutError):
            connected = self._connection is not None
            answer = Answer(None, f"No answer within {POST_SECONDS_MAX:.0f} seconds." if connected else NO_CONNECTION)
        except ConnectionRefusedError:
            answer = Answer(None, "The connection was refused.")
        except ssl.SSLCertVerificationError as error:
            answer = Answer(None, f"Its certificate is not valid: {error.verify_message}."[:200])
        except ssl.SSLError:
            answer = Answer(None, "There was no secure connection.")
        except (http.client.HTTPException, ConnectionError):
            answer = Answer(None, "The connection broke off before an answer.")
        except (OSError, ValueError):
            answer = Answer(None, "Its host can't be reached.")
        self._close()
        return answer

    def _post(self, deadline: _Deadline, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = self._connection or self._connect(deadline)
        self._connection, parts = connection, self._parts
        if parts is None or not isinstance(connection.sock, _Socket | _TLSSocket):
            raise http.client.NotConnected
        connection.sock.deadline = deadline
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"Host": parts.netloc, **headers})
        answer = connection.getresponse()
        self._finish(answer)
        return Answer(answer.status, f"HTTP {answer.status}")

    def _finish(self, answer: http.client.HTTPResponse) -> None:
        """Make the connection ready for the next post, or close it: what the body says does not matter."""
        with contextlib.suppress(_Late, OSError, http.client.HTTPException):
            if not answer.chunked and (answer.length or 0) <= BODY_BYTES_READ_MAX and not answer.will_close:
                answer.read()
                return
        self._close()

    def _connect(self, deadline: _Deadline) -> http.client.HTTPConnection:
        # To the address that was judged, whatever the name means a moment later.
        self._parts, address = resolve(self._url)
        is_tls = self._parts.scheme == "https"
        port = self._parts.port or (443 if is_tls else 80)
        plain = _Socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            plain.deadline = deadline
            plain.settimeout(min(CONNECT_SECONDS_MAX, deadline.left_seconds()))
            plain.connect((address, port))
            plain.settimeout(deadline.left_seconds())
            connected = _tls().wrap_socket(plain, server_hostname=self._parts.hostname) if is_tls else plain
        except BaseException:
            plain.close()
            raise
        connection = http.client.HTTPConnection(address, port)
        connection.sock = connected
        connection.auto_open = 0
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


NO_CONNECTION = f"No connection within {CONNECT_SECONDS_MAX:.0f} seconds."
