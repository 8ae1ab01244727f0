"""Post callbacks over HTTP/1.1. Connections are reused, redirects are not followed, and only the status is returned."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

# A longer response is not read to its end. Its connection is closed.
ANSWER_BYTES_MAX = 65_536

# The number of idle connections kept open to a host.
IDLE_MAX = 8


class NoAnswer(Exception):
    """There was no valid HTTP response."""


class Address(NamedTuple):
    """A parsed URL."""

    host: str
    port: int
    tls: bool
    authority: str
    target: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Parse a URL that `execute_request` has accepted."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), tls, parts.netloc, target)


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class HttpClient:
    """Posts to any number of hosts and reuses their connections."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int, bool], list[_Connection]] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, address: Address, headers: dict[str, str], body: bytes, timeout_seconds: float) -> int:
        """Post a body and return the status of the response.

        If an idle connection turns out to be closed, the request is repeated on a new one, so the receiver may get it
        twice.

        Raises:
            NoAnswer, OSError, TimeoutError: There was no response.
        """
        lines = [
            f"POST {address.target} HTTP/1.1",
            f"Host: {address.authority}",
            f"Content-Length: {len(body)}",
        ]
        lines += (f"{name}: {value}" for name, value in headers.items())
        message = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
        async with asyncio.timeout(timeout_seconds):
            connection = self._idle_connection(address)
            if connection is not None:
                try:
                    return await self._send(address, connection, message)
                except (NoAnswer, OSError):
                    pass
            if address.tls and self._tls is None:
                self._tls = ssl.create_default_context()
            context = self._tls if address.tls else None
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=context, limit=ANSWER_BYTES_MAX
            )
            return await self._send(address, _Connection(reader, writer), message)

    def close(self) -> None:
        """Close all idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.transport.abort()
        self._idle.clear()

    def _idle_connection(self, address: Address) -> _Connection | None:
        idle = self._idle.get(address[:3], [])
        while idle:
            connection = idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.transport.abort()
        return None

    async def _send(self, address: Address, connection: _Connection, message: bytes) -> int:
        keeps_alive = False
        try:
            connection.writer.write(message)
            status, keeps_alive = await _read_answer(connection.reader)
            return status
        finally:
            idle = self._idle.setdefault(address[:3], [])
            if keeps_alive and len(idle) < IDLE_MAX:
                idle.append(connection)
            else:
                connection.writer.transport.abort()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read a response; return its status, and whether the connection can be reused."""
    try:
        status = 100
        while 100 <= status < 200:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, _, rest = head.partition("\r\n")
            version, status_text = first.split(" ")[:2]
            if not version.startswith("HTTP/1."):
                raise NoAnswer(first[:80])
            status = int(status_text)
        headers = {}
        for line in rest.lower().splitlines():
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        length = 0 if status in (204, 304) else int(headers.get("content-length", -1))
        keeps_alive = version == "HTTP/1.1" and headers.get("connection") != "close" and 0 <= length <= ANSWER_BYTES_MAX
        if keeps_alive and length:
            await reader.readexactly(length)
        return status, keeps_alive
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise NoAnswer(f"not an HTTP answer: {error}"[:200]) from error
