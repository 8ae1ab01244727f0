"""HTTP calls to other systems, each with one deadline for the whole call: connection, request, headers and body.

A timeout for each read does not limit the call: a server that sends a byte now and then could block its caller
forever. So the deadline is fixed when the call begins, and no step waits longer than that. Calls are not retried,
redirects are not followed, and no more of the body is read than the caller wants.
"""

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util import Retry, Timeout, parse_url

READ_BYTES = 65_536
SKIPPED_BYTES_MAX = 4_096  # reading past a longer body costs more than a new connection
_deadline: ContextVar[float] = ContextVar("deadline")


class NoAnswer(Exception):
    """No complete answer arrived in time. The server may or may not have executed the request.

    The message says what happened, and `__cause__` is the original error of the socket or the protocol.
    """


class NoConnection(NoAnswer):
    """The connection could not be opened, so no request was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def lookup(host: str, port: int, seconds_max: float) -> list[str]:
    """Return the IP addresses of a host, in the order in which they should be tried.

    A name server may be slow, and `getaddrinfo` can't be interrupted. So it runs in its own thread, and a late
    result is dropped.

    Args:
        seconds_max: How long to wait for the name server.

    Raises:
        TimeoutError: The name server did not answer in time.
        OSError: There is no such host.
    """
    lookup = _Lookup(host, port)
    lookup.thread.join(seconds_max)
    if lookup.thread.is_alive():
        raise TimeoutError(f"the address of {host} was not found in time")
    if lookup.error is not None:
        raise lookup.error
    return lookup.addresses


@dataclass
class _Lookup:
    host: str
    port: int
    addresses: list[str] = field(default_factory=list)
    error: OSError | None = None

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._resolve, name="lookup", daemon=True)
        self.thread.start()

    def _resolve(self) -> None:
        try:
            rows = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            self.addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))
        except OSError as error:
            self.error = error
        except UnicodeError:
            self.error = OSError(f"{self.host[:100]!r} is not the name of a host")


class Client:
    """An HTTP client that keeps its connections between calls. Threads may share it."""

    def __init__(self, connections_max: int = 16) -> None:
        """Create a client; no connection is opened yet.

        Args:
            connections_max: How many idle connections to keep to each server.
        """
        self._pools = urllib3.PoolManager(maxsize=connections_max)
        self._pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def call(
        self,
        method: str,
        url: str,
        *,
        seconds_max: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        body_bytes_max: int = 4_000_000,
    ) -> Answer:
        """Make one call and return its answer.

        Args:
            seconds_max: The deadline for the whole call.
            body_bytes_max: The longest body to accept. With 0 the body is not read.

        Raises:
            NoAnswer: By the deadline there was no answer, only a part of one, or one that is too long.
        """
        parts = parse_url(url)
        pool = self._pools.connection_from_host(parts.host, parts.port, parts.scheme)
        return _call(pool, method, parts.request_uri, seconds_max, body, headers, body_bytes_max)

    def clear(self) -> None:
        """Close the connections that are kept."""
        self._pools.clear()


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context that verifies server certificates. It reads the system's CA certificates only once."""
    return ssl.create_default_context()


class PinnedClient:
    """An HTTP client for one URL at a fixed IP address, whatever the host name resolves to by now.

    Its calls share a connection as long as it lasts. Only one thread may use it.
    """

    def __init__(self, url: str, address: str) -> None:
        """Create a client; no connection is opened yet.

        Args:
            url: The URL of every call. Its host goes into the Host header, and TLS verifies it.
            address: The IP address to connect to.
        """
        self._parts = parse_url(url)
        self._pool: urllib3.HTTPConnectionPool = (
            _SecurePool(
                address,
                self._parts.port or 443,
                server_hostname=(self._parts.host or "").strip("[]"),
                ssl_context=tls_context(),
            )
            if self._parts.scheme == "https"
            else _Pool(address, self._parts.port or 80)
        )
        self._host = self._parts.netloc or address

    def call(
        self,
        method: str,
        *,
        seconds_max: float,
        connect_seconds_max: float | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        body_bytes_max: int = 0,
    ) -> Answer:
        """Make one call and return its answer. The arguments are those of `Client.call`.

        If the server has closed the idle connection in the meantime, the call is repeated once, on a new one.

        Args:
            connect_seconds_max: The limit for connecting; `seconds_max` if not given.

        Raises:
            NoAnswer: As `Client.call`.
        """
        ends_at = time.monotonic() + seconds_max
        headers = {"Host": self._host, **(headers or {})}
        limits = (body, headers, body_bytes_max, connect_seconds_max)
        opened = self._pool.num_connections
        try:
            return _call(self._pool, method, self._parts.request_uri, seconds_max, *limits)
        except NoAnswer as error:
            if not isinstance(error.__cause__, ConnectionError) or self._pool.num_connections > opened:
                raise
            return _call(self._pool, method, self._parts.request_uri, ends_at - time.monotonic(), *limits)

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


def _call(
    pool: urllib3.HTTPConnectionPool,
    method: str,
    target: str,
    seconds_max: float,
    body: bytes | None,
    headers: Mapping[str, str] | None,
    body_bytes_max: int,
    connect_seconds_max: float | None = None,
) -> Answer:
    token = _deadline.set(time.monotonic() + seconds_max)
    try:
        response = pool.urlopen(
            method,
            target,
            body=body,
            headers=dict(headers or {}),
            timeout=Timeout(connect=connect_seconds_max or seconds_max, total=seconds_max),
            retries=Retry(0, redirect=0, raise_on_redirect=False),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            content = _read(response, body_bytes_max) if body_bytes_max else _discard_body(response)
        except BaseException:
            response.close()  # unread data must not be taken for the next answer
            raise
        return Answer(response.status, response.headers, content)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        cause = _cause_of(error)
        connected = not isinstance(getattr(error, "reason", None), NewConnectionError)
        raise (NoAnswer if connected else NoConnection)(f"{type(error).__name__}: {error}"[:300]) from cause
    finally:
        _deadline.reset(token)


def _cause_of(error: BaseException) -> BaseException:
    """Return the original error, which urllib3 may have wrapped several times."""
    while inner := error.__cause__ or next((part for part in error.args if isinstance(part, Exception)), None):
        error = inner
    return error


def _discard_body(response: urllib3.BaseHTTPResponse) -> bytes:
    """Discard a short body, so that the connection can serve another call; otherwise close the connection."""
    length = response.length_remaining
    if length is not None and length <= SKIPPED_BYTES_MAX:
        response.drain_conn()
    response.close()
    return b""


def _read(response: urllib3.BaseHTTPResponse, bytes_max: int) -> bytes:
    content = bytearray()
    while piece := response.read1(READ_BYTES):
        content += piece
        if len(content) > bytes_max:
            raise ValueError(f"the answer is longer than {bytes_max} bytes")
    response.release_conn()
    return bytes(content)


def _remaining() -> float:
    """Return the seconds until the deadline of this thread's call."""
    remaining = _deadline.get() - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("the call took too long")
    return remaining


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket, never waiting beyond the deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._file = sock.makefile("rb", buffering=0)  # keeps the socket open until the answer is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(_remaining())
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(sock))


class _Deadline:
    """Mixin for both kinds of connection: connect and send within the deadline."""

    response_class: Any = _Response
    _dns_host: str
    port: int
    sock: Any
    timeout: Any  # seconds for connecting, as `_call` set it
    socket_options: Any
    source_address: Any

    def _new_conn(self) -> socket.socket:
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in self._dns_host else socket.AF_INET, self._dns_host)
            addresses = [self._dns_host]
        except OSError:
            addresses = lookup(self._dns_host, self.port, _remaining())
        last: Exception = OSError("no address")
        for address in addresses:
            try:
                seconds = min(self.timeout, _remaining())
                sock = socket.create_connection((address, self.port), seconds, self.source_address)
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(_remaining())  # for TLS: Python applies it to the handshake as a whole
            except OSError as error:
                last = error
                continue
            return sock
        # Don't raise `last` itself: urllib3 takes a reset for one after the request, and tries to read an answer.
        raise NewConnectionError(cast(HTTPConnection, self), f"no connection: {last}") from last

    def request(self, *args: Any, **kwargs: Any) -> None:
        self.timeout = _remaining()  # for sending: Python applies it to the request as a whole
        super().request(*args, **kwargs)  # type: ignore[misc]


class _Connection(_Deadline, HTTPConnection):
    pass


class _SecureConnection(_Deadline, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
