"""The readers: a separate process in which customers look at pages and positions, each on a connection of its own.

It reads one line of JSON, the `ReadOrder`, from standard input, and prints one line of JSON: for each title, the
milliseconds of every answer, measured from when the request was due. Each reader asks for the pages in turn, with
exponentially distributed pauses between the requests.

Uses only the standard library, to keep the process small.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

STACK_BYTES = 256 * 1024


@dataclass(frozen=True)
class ReadOrder:
    """A list of pages to read, and who reads them. Times are in seconds; `start_at` is in epoch seconds.

    `readers` has the headers of each reader's requests, and `pages` a title and a path each.
    """

    addresses: list[tuple[str, int]]
    readers: list[dict[str, str]]
    pages: list[tuple[str, str]]
    start_at: float
    seconds: float
    pause_seconds: float


class Reader(threading.Thread):
    """One customer who reads."""

    def __init__(self, order: ReadOrder, number: int) -> None:
        super().__init__(daemon=True)
        self.order = order
        self.number = number
        self.random = random.Random(number)
        self.answers: list[tuple[str, float]] = []
        self.failures: list[str] = []

    def run(self) -> None:
        order = self.order
        host, port = order.addresses[self.number % len(order.addresses)]
        connection = http.client.HTTPConnection(host, port, timeout=30)
        offset = time.time() - time.monotonic()
        due = order.start_at - offset + self.random.random() * order.pause_seconds
        end = order.start_at - offset + order.seconds
        turn = self.number
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            title, path = order.pages[turn % len(order.pages)]
            turn += 1
            try:
                status = self._get(connection, path)
                if status != 200:
                    self.failures.append(f"{title}: {status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{title}: {error!r}")
                connection.close()
            else:
                self.answers.append((title, 1000 * (time.monotonic() - due)))
            due = max(due, time.monotonic()) + self.random.expovariate(1 / order.pause_seconds)
        connection.close()

    def _get(self, connection: http.client.HTTPConnection, path: str) -> int:
        """Read a page, on a new connection if the server has closed the idle one, as browsers do; return the status."""
        try:
            return self._get_once(connection, path)
        except http.client.RemoteDisconnected:
            connection.close()
            return self._get_once(connection, path)

    def _get_once(self, connection: http.client.HTTPConnection, path: str) -> int:
        connection.request("GET", path, headers=self.order.readers[self.number])
        answer = connection.getresponse()
        answer.read()
        return answer.status


def read(order: ReadOrder) -> dict[str, Any]:
    """Let all readers read until the time is over."""
    threading.stack_size(STACK_BYTES)
    readers = [Reader(order, number) for number in range(len(order.readers))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    by_title: dict[str, list[float]] = {title: [] for title, _ in order.pages}
    for reader in readers:
        for title, milliseconds in reader.answers:
            by_title[title].append(round(milliseconds, 2))
    return {"milliseconds": by_title, "failures": [text for reader in readers for text in reader.failures]}


def main() -> None:
    """Read as standard input says, and print the answers' times."""
    order = json.loads(sys.stdin.buffer.readline())
    print(json.dumps(read(ReadOrder(**order))), flush=True)


if __name__ == "__main__":
    main()
