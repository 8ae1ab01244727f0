"""An HTTP/1.1 server that controls every byte of a response, so that a fault can slow it down or cut it off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import h11

READ_BYTES = 65_536
BACKLOG = 1024

# How long a caller may continue to send a body that is too long.
LINGER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. `body` is None if it is longer than the server accepts."""

    method: str
    path: str
    query_string: str
    body: bytes | None


@dataclass(slots=True)
class Response:
    """An HTTP response, and how to send it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    # The pause before each byte of the head and of the body. Without pauses, all bytes are sent at once.
    head_pause_seconds: float = 0.0
    body_pause_seconds: float = 0.0
    # Close the connection after this many bytes of the body.
    cut_after_bytes: int | None = None
    # Send this instead of an HTTP response, then close the connection.
    raw: bytes | None = field(default=None, repr=False)


class Caller:
    """The client at the other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, protocol: h11.Connection) -> None:
        self._reader = reader
        self._protocol = protocol

    async def gone(self) -> None:
        """Return once the caller has closed its end."""
        while data := await self._reader.read(READ_BYTES):
            self._protocol.receive_data(data)


# Answers a request. None closes the connection without a response.
Handler = Callable[[Request, Caller], Awaitable[Response | None]]

# Builds the response to bytes that are not a valid HTTP request, from a status and a detail.
Refuser = Callable[[int, str], Response]


class HttpServer:
    """Listens on one address and passes requests to the handler, one at a time per connection."""

    def __init__(self, handler: Handler, refuser: Refuser, body_bytes_max: int) -> None:
        self._handler = handler
        self._refuser = refuser
        self._body_bytes_max = body_bytes_max
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Start listening. Raises OSError if the address is not available."""
        self._server = await asyncio.start_server(self._serve, host, port, backlog=BACKLOG)

    async def stop(self) -> None:
        """Stop listening and close all connections. Idempotent."""
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._connections.add(task)
        try:
            # The caller hung up or the process is ending: there is nothing to report.
            with suppress(OSError, asyncio.CancelledError):
                await self._serve_connection(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = h11.Connection(h11.SERVER)
        while True:
            try:
                request = await self._read_request(reader, writer, protocol)
                if request is None:
                    return
            except h11.RemoteProtocolError as error:
                if protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    await _send(self._refuser(error.error_status_hint, str(error)), writer, protocol, with_body=True)
                return
            response = await self._handler(request, Caller(reader, protocol))
            if response is None:
                writer.transport.abort()
                return
            await _send(response, writer, protocol, with_body=request.method != "HEAD")
            if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
                await _linger(reader, writer, protocol)
                return
            protocol.start_next_cycle()

    async def _read_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: h11.Connection
    ) -> Request | None:
        """Read the next request; return None if the caller has closed the connection."""
        head: h11.Request | None = None
        body = b""
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                if protocol.they_are_waiting_for_100_continue:
                    writer.write(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                protocol.receive_data(await reader.read(READ_BYTES))
            elif isinstance(event, h11.Request):
                head = event
                if self._declares_too_long_body(head):
                    return _request(head, None)
            elif isinstance(event, h11.Data):
                body += event.data
                if head is not None and len(body) > self._body_bytes_max:
                    return _request(head, None)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return _request(head, body)
            else:
                return None

    def _declares_too_long_body(self, head: h11.Request) -> bool:
        lengths = [int(value) for name, value in head.headers if name == b"content-length"]
        return bool(lengths) and lengths[0] > self._body_bytes_max


def _request(head: h11.Request, body: bytes | None) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    return Request(head.method.decode("ascii"), path, query, body)


async def _send(response: Response, writer: asyncio.StreamWriter, protocol: h11.Connection, *, with_body: bool) -> None:
    if response.raw is not None:
        writer.write(response.raw)
        await writer.drain()
        protocol.send_failed()
        return
    headers = [*response.headers, ("content-length", str(len(response.body)))]
    head = protocol.send(h11.Response(status_code=response.status, headers=headers)) or b""
    body = protocol.send(h11.Data(data=response.body)) or b"" if with_body else b""
    if response.cut_after_bytes is not None:
        body = body[: response.cut_after_bytes]
        protocol.send_failed()
    else:
        protocol.send(h11.EndOfMessage())
    if not response.head_pause_seconds and not response.body_pause_seconds:
        writer.write(head + body)
    else:
        await _write_slowly(head, response.head_pause_seconds, writer)
        await _write_slowly(body, response.body_pause_seconds, writer)
    await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: h11.Connection) -> None:
    """Continue to read for a moment if the caller is still sending; closing immediately could discard the response."""
    if protocol.their_state is h11.SEND_BODY and writer.can_write_eof():
        writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await reader.read(READ_BYTES):
                    pass


async def _write_slowly(content: bytes, pause_seconds: float, writer: asyncio.StreamWriter) -> None:
    if not pause_seconds:
        writer.write(content)
        return
    for n in range(len(content)):
        await asyncio.sleep(pause_seconds)
        writer.write(content[n : n + 1])
        await writer.drain()
