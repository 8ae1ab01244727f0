"""The load generator: a separate process that places trades over HTTP with as little CPU time as Python allows.

It reads one line of JSON, the `LoadOrder`, from standard input, places trades on persistent connections, writes every
response to a file, and prints one line of JSON. With one thread, one epoll loop and requests that are encoded in
advance, a request takes about 0.06 ms of CPU time, which is accounted separately.

Open loop (`rate` above zero): trades are placed at times drawn in advance from a Poisson process, like those of many
independent customers, whether or not earlier ones were answered. Closed loop (`rate` 0): every connection places its
next trade when the last one is answered; with `backlog_max`, only while fewer trades than that are open. The number of
open trades arrives as further lines on standard input.

Uses only the standard library, to keep the process small.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

ANSWERS_SECONDS_MAX = 15.0
"""How long to wait for responses after the last request."""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class LoadOrder:
    """The load to generate. Times are in seconds; `start_at` is in epoch seconds."""

    addresses: list[tuple[str, int]]
    path: str
    tokens_file: str
    answers_file: str
    tickers: list[str]
    start_at: float
    seconds: float
    connections: int
    rate: float = 0.0
    even: bool = False
    backlog_max: int = 0
    quantity_max: int = 9
    seed: int = 1
    headers: dict[str, str] = field(default_factory=dict)


class Connection:
    """A persistent connection with at most one request in progress."""

    __slots__ = ("address", "answer", "scheduled", "sent", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(self.address, 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.answer = b""
        self.scheduled = self.sent = 0.0


class Generator:
    """One run of the generator."""

    def __init__(self, order: LoadOrder) -> None:
        self.order = order
        self.random = random.Random(order.seed)
        with open(order.tokens_file) as file:
            self.heads = [self._head(token.strip()) for token in file]
        self.bodies = [
            self._body(ticker, type, quantity)
            for ticker in order.tickers
            for type in ("BUY", "SELL")
            for quantity in range(1, order.quantity_max + 1)
        ]
        self.epoll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.idle: deque[Connection] = deque()
        self.answers: list[tuple[float, float, float, int, str]] = []
        self.allowed = 0
        self.broken = 0
        self.refusal = ""  # the first answer other than 201
        self.unparsed = b""
        for number in range(order.connections):
            self._open(Connection(order.addresses[number % len(order.addresses)]))

    def _head(self, token: str) -> bytes:
        host, port = self.order.addresses[0]
        headers = {
            "Host": f"{host}:{port}",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            **self.order.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.order.path} HTTP/1.1\r\n{lines}".encode("ascii")

    def _body(self, ticker: str, type: str, quantity: int) -> bytes:
        body = json.dumps({"stockTicker": ticker, "type": type, "quantity": quantity})
        return f"Content-Length: {len(body)}\r\n\r\n{body}".encode("ascii")

    def _open(self, connection: Connection) -> None:
        self.connections[connection.socket.fileno()] = connection
        self.epoll.register(connection.socket, select.EPOLLIN)
        self.idle.append(connection)

    def run(self) -> dict[str, int | str]:
        """Place trades until the time is over, then wait for the responses."""
        order = self.order
        if order.backlog_max:
            os.set_blocking(0, False)
            self.epoll.register(0, select.EPOLLIN)
        # The loop uses the monotonic clock; recorded times use the wall clock, to be comparable with the database's.
        offset = time.time() - time.monotonic()
        start = order.start_at - offset
        end = start + order.seconds
        schedule = self._schedule(start, end) if order.rate else deque()
        while (wait := start - time.monotonic()) > 0:
            time.sleep(wait)
        if order.rate:
            self._open_loop(schedule)
        else:
            self._closed_loop(end)
        deadline = time.monotonic() + ANSWERS_SECONDS_MAX
        while len(self.idle) < len(self.connections) and time.monotonic() < deadline:
            self._take_answers(POLL_SECONDS)
        unanswered = len(self.connections) - len(self.idle)
        with open(order.answers_file, "w") as file:
            json.dump(
                [
                    (scheduled + offset, sent + offset, answered + offset, status, trade_id)
                    for scheduled, sent, answered, status, trade_id in self.answers
                ],
                file,
            )
        return {
            "answered": len(self.answers),
            "unanswered": unanswered,
            "broken": self.broken,
            "firstRefusal": self.refusal,
        }

    def _schedule(self, start: float, end: float) -> deque[float]:
        moments: deque[float] = deque()
        moment = start
        rate = self.order.rate
        while (moment := moment + (1 / rate if self.order.even else self.random.expovariate(rate))) < end:
            moments.append(moment)
        return moments

    def _open_loop(self, schedule: deque[float]) -> None:
        while schedule:
            now = time.monotonic()
            while schedule and schedule[0] <= now and self.idle:
                self._place(schedule.popleft())
            if schedule and self.idle:
                self._take_answers(max(0.0, schedule[0] - time.monotonic()))
            else:  # the next request waits for a free connection, and the wait counts as latency
                self._take_answers(POLL_SECONDS)

    def _closed_loop(self, end: float) -> None:
        limited = self.order.backlog_max > 0
        while (now := time.monotonic()) < end:
            while self.idle and (not limited or self.allowed > 0):
                self.allowed -= 1
                self._place(now)
            self._take_answers(POLL_SECONDS)

    def _place(self, scheduled: float) -> None:
        connection = self.idle.popleft()
        request = self.random.choice(self.heads) + self.random.choice(self.bodies)
        connection.scheduled = scheduled
        connection.sent = time.monotonic()
        try:
            if connection.socket.send(request) != len(request):
                raise OSError("the request did not fit into the socket")
        except OSError:
            self._replace(connection)

    def _take_answers(self, seconds_max: float) -> None:
        for descriptor, _ in self.epoll.poll(seconds_max):
            if descriptor == 0:
                self._read_open_trades()
                continue
            connection = self.connections[descriptor]
            try:
                data = connection.socket.recv(65_536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._replace(connection)
                continue
            answer = connection.answer = connection.answer + data if connection.answer else data
            head_end = answer.find(b"\r\n\r\n")
            if head_end < 0 or len(answer) < head_end + 4 + _content_length(answer[:head_end]):
                continue
            found = answer.find(b'"tradeId":"', head_end)
            trade_id = answer[found + 11 : found + 47].decode("ascii", "replace") if found > 0 else ""
            status = int(answer[9:12])
            if status != 201 and not self.refusal:
                self.refusal = answer[head_end + 4 :].decode("utf-8", "replace")[:500]
            self.answers.append((connection.scheduled, connection.sent, time.monotonic(), status, trade_id))
            connection.answer = b""
            self.idle.append(connection)

    def _read_open_trades(self) -> None:
        """Read the latest number of open trades, and compute how many more may be placed."""
        data = os.read(0, 65_536)
        if not data:
            self.epoll.unregister(0)
            return
        *lines, self.unparsed = (self.unparsed + data).split(b"\n")
        if lines:
            in_flight = len(self.connections) - len(self.idle)
            self.allowed = self.order.backlog_max - int(lines[-1]) - in_flight

    def _replace(self, connection: Connection) -> None:
        """Reopen a broken connection; its request has no result."""
        self.broken += 1
        if self.broken > 1000:
            raise SystemExit("generator: more than 1000 connections broke")
        if connection in self.idle:
            self.idle.remove(connection)
        del self.connections[connection.socket.fileno()]
        connection.socket.close()
        connection.open()
        self._open(connection)


def _content_length(head: bytes) -> int:
    found = head.lower().find(b"\r\ncontent-length:")
    if found < 0:
        raise SystemExit(f"generator: a response without a length: {head!r}")
    return int(head[found + 17 :].partition(b"\r\n")[0])


def main() -> None:
    """Generate the load that standard input describes, and print a summary."""
    order = json.loads(sys.stdin.buffer.raw.readline())  # type: ignore[union-attr]
    order["addresses"] = [tuple(address) for address in order["addresses"]]
    print(json.dumps(Generator(LoadOrder(**order)).run()), flush=True)


if __name__ == "__main__":
    main()
