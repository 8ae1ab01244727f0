"""Customers that follow their trades during faults, by event stream or by webhook."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import urllib3

SILENCE_SECONDS_MAX = 20.0
"""A stream sends something every 15 s; a silent one is closed and reopened."""
WEBHOOK_PORT = 9200
POLL_SECONDS = 0.2


class StreamReader(threading.Thread):
    """Reads one customer's server-sent events, and reconnects with the last id whenever the stream breaks."""

    def __init__(self, url: str, account: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.customer: int = account["customer"]
        self.over = threading.Event()
        self.started_after: str | None = None
        self.ids: list[str] = []
        self.opened = 0
        self._url, self._token = f"{url}/api/v1/events", account["token"]
        self._last_id = ""
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=3, read=SILENCE_SECONDS_MAX))

    def run(self) -> None:
        while not self.over.is_set():
            headers = {"Authorization": f"Bearer {self._token}"} | (
                {"Last-Event-ID": self._last_id} if self._last_id else {}
            )
            try:
                answer = self._pool.request("GET", self._url, headers=headers, preload_content=False)
                if answer.status == 200:
                    self.opened += 1
                    self._read(answer)
                answer.close()
            except (urllib3.exceptions.HTTPError, OSError):
                pass
            self.over.wait(0.3)

    def _read(self, answer: Any) -> None:
        fields: dict[str, str] = {}
        for line in _lines(answer):
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
                continue
            self._last_id = fields.get("id", self._last_id)
            if self.started_after is None:
                self.started_after = self._last_id
            if "data" in fields:
                self.ids.append(fields["id"])
            fields = {}
            if self.over.is_set():
                return


def _lines(answer: Any) -> Iterator[str]:
    incomplete = b""
    for piece in answer.stream(decode_content=False):
        *lines, incomplete = (incomplete + piece).split(b"\n")
        for line in lines:
            yield line.decode()


class WebhookReceiver:
    """A webhook endpoint: counts the deliveries of each event, and answers unless `hangs` is set."""

    def __init__(self, address: str, port: int = WEBHOOK_PORT) -> None:
        self.ids: dict[str, int] = defaultdict(int)
        self.hangs = threading.Event()
        deliveries, hangs = self.ids, self.hangs

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                while hangs.is_set():
                    time.sleep(POLL_SECONDS)
                deliveries[self.headers.get("webhook-id") or ""] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.url = f"http://{address}:{port}/events"
        self._server = ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def subscribe(url: str, accounts: Iterable[dict[str, Any]], receiver: WebhookReceiver) -> None:
    """Create a webhook for each of these customers."""
    for account in accounts:
        answer = urllib3.request(
            "POST",
            f"{url}/api/v1/webhooks",
            json={"url": receiver.url},
            headers={"Authorization": f"Bearer {account['token']}"},
            timeout=10.0,
        )
        if answer.status != 201:
            raise RuntimeError(f"the webhook was not created: {answer.status} {answer.data[:300]!r}")


def events_of(database_url: str) -> dict[int, list[str]]:
    """Return the ids of each customer's events in order, read from the table."""
    ids: dict[int, list[str]] = defaultdict(list)
    with psycopg.connect(database_url) as database:
        for customer, xact, change in database.execute(
            "SELECT customer_id, xact, id FROM trades_statuschange UNION ALL "
            "SELECT customer_id, xact, event FROM trades_entitlement WHERE event IS NOT NULL ORDER BY xact, id"
        ):
            ids[customer].append(f"{xact:016x}{change:016x}")
    return ids


def missed(readers: Iterable[StreamReader], events: dict[int, list[str]]) -> Iterator[str]:
    """Yield streams that missed, repeated or reordered events."""
    for reader in readers:
        expected = [event for event in events[reader.customer] if event > (reader.started_after or "")]
        if reader.ids != expected:
            lost, repeated = set(expected) - set(reader.ids), len(reader.ids) - len(set(reader.ids))
            yield (
                f"the stream of customer {reader.customer} delivered {len(reader.ids)} of {len(expected)} events: "
                f"{len(lost)} lost, {repeated} repeated"
            )


def wait_for(receiver: WebhookReceiver, expected: set[str], seconds_max: float) -> set[str]:
    """Wait for these events, at most `seconds_max`; return those that were not delivered."""
    deadline = time.monotonic() + seconds_max
    while (missing := expected - receiver.ids.keys()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return missing
