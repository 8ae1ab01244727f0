"""The network between the parts: a TCP proxy whose links can be cut, slowed, stalled and made to drop data.

`python -m chaos.proxy` reads JSON commands, one per line, from standard input until it is closed:

    {"link": "lanes-exchange", "listen": 9301, "targets": [9302, 9303]}     create a link; targets take turns
    {"link": "lanes-exchange", "fault": "stall"}                            set a fault; null clears it
    {"link": "lanes-exchange", "cut": true}                                 reset every connection of the link now
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections.abc import Callable
from itertools import count

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
SLOW_SECONDS = 0.2

FAULTS = {
    "stall": "data is held back and delivered when the fault ends",
    "blackhole": "data is silently dropped in both directions; connections are reset when the fault ends",
    "deaf": "requests arrive, responses are dropped; connections are reset when the fault ends",
    "refuse": "existing and new connections are reset",
    "slow": f"every chunk takes {SLOW_SECONDS} s",
    "half": "the response breaks off in the middle, and the connection is reset",
}


class Link:
    """A connection from one part of the brokerage to another."""

    def __init__(self, targets: list[int]) -> None:
        self.targets = targets
        self.fault: str | None = None
        self._turns = count()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    def change(self, fault: str | None) -> None:
        """Begin a network fault, or end it (None)."""
        if self.fault in {"blackhole", "deaf", "half"} or fault == "refuse":
            self.cut()
        self.fault = fault
        if fault == "stall":
            self._open.clear()
        else:
            self._open.set()

    def cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault == "refuse":
            _reset(writer)
            return
        self._writers.add(writer)
        upstream_writer = None
        try:
            await self._open.wait()
            upstream_reader, upstream_writer = await self._connect()
            self._writers.add(upstream_writer)
            asking = asyncio.ensure_future(self._pump(reader, upstream_writer, lambda: self.fault == "blackhole"))
            answering = asyncio.ensure_future(
                self._pump(upstream_reader, writer, lambda: self.fault in {"blackhole", "deaf"}, is_answer=True)
            )
            await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
            for pump in (asking, answering):
                pump.cancel()
            # Close cleanly after a clean end, so that the last data arrives.
            for end in (writer, upstream_writer):
                with contextlib.suppress(OSError, RuntimeError):
                    end.close()
        except OSError:
            _reset(writer)
        finally:
            self._writers.discard(writer)
            if upstream_writer is not None:
                self._writers.discard(upstream_writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = next(self._turns)
        for offset in range(len(self.targets)):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(HOST, self.targets[(first + offset) % len(self.targets)])
        raise ConnectionRefusedError

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        drops_data: Callable[[], bool],
        is_answer: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(CHUNK_BYTES):
                if self.fault == "slow":
                    await asyncio.sleep(SLOW_SECONDS)
                await self._open.wait()
                if drops_data():
                    continue
                if self.fault == "half" and is_answer:
                    target.write(piece[: len(piece) // 2])
                    await target.drain()
                    _reset(target)
                    return
                target.write(piece)
                await target.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST rather than FIN."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main() -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    links: dict[str, Link] = {}
    while line := await commands.readline():
        command = json.loads(line)
        name = command["link"]
        if "listen" in command:
            links[name] = Link(command["targets"])
            await asyncio.start_server(links[name].serve, HOST, command["listen"], backlog=1024)
        if "fault" in command:
            links[name].change(command["fault"])
        if command.get("cut"):
            links[name].cut()
        sys.stdout.write(json.dumps({"done": name}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
