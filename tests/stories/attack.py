"""`python -m tests.stories.attack URL CUSTOMER`: one customer disturbs others in every way, simultaneously.

It runs until its standard input ends, and then prints the number of responses by kind and status.
"""

import json
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import urllib3
from websockets.sync.client import connect

from local.ports import LOOPBACK

NEW_YORK = ZoneInfo("America/New_York")
ATTACKER = "127.0.0.66"  # connections are limited by address, and only the attacker uses this one
PLACING = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}


class Attack:
    """Run every kind of disturbance simultaneously, each in its own threads, while the context is open."""

    def __init__(self, url: str, hostile: dict[str, Any]) -> None:
        self._url, self._hostile = url, hostile
        self._is_over, self._thread_local = threading.Event(), threading.local()
        self._stack = ExitStack()
        self.statuses: Counter[str] = Counter()

    def __enter__(self) -> "Attack":
        kinds: dict[Callable[[], None], int] = {
            self._listen_again: 4, self._open_streams: 1, self._do_not_read: 20, self._request_statements: 4,
            self._enter_slow_webhook_hosts: 2, self._guess_passwords: 12, self._place: 2,
        }  # fmt: skip
        for work, count in kinds.items():
            for _ in range(count):
                threading.Thread(target=self._repeat, args=(work,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        time.sleep(0.5)
        self._stack.close()

    def _repeat(self, work: Callable[[], None]) -> None:
        self._thread_local.pool = urllib3.PoolManager(retries=False, timeout=10, source_address=(ATTACKER, 0))
        while not self._is_over.is_set():
            with suppress(Exception):  # repeat even when refused or disconnected
                work()
            self._is_over.wait(0.02)

    def _request(self, name: str, method: str, path: str, **more: Any) -> None:
        headers = {"Authorization": f"Bearer {self._hostile['token']}"} | more.pop("headers", {})
        response = self._thread_local.pool.request(
            method, f"{self._url}{path}", headers=headers, redirect=False, **more
        )
        self.statuses[f"{name} {response.status}"] += 1

    def _listen_again(self) -> None:
        address = f"{self._url.replace('http', 'ws', 1)}/alpaca/stream?after=0"
        pair = {"key_id": self._hostile["keyId"], "secret_key": self._hostile["secretKey"]}
        with connect(address, source_address=(ATTACKER, 0)) as listening:
            listening.send(json.dumps({"action": "authenticate", "data": pair}))
            for _ in range(50):
                listening.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
                listening.recv(5)
                self.statuses["listened"] += 1

    def _open_streams(self) -> None:
        for _ in range(100):
            self._raw(f"GET /api/v1/events?after=0 HTTP/1.1\r\nAuthorization: Bearer {self._hostile['token']}", 4096)
        self._is_over.wait(10)

    def _do_not_read(self) -> None:
        """Request the largest response and read 512 bytes of it per second."""
        slow = self._raw(f"GET /cash/ledger.csv HTTP/1.1\r\nCookie: sessionid={self._hostile['session']}", 512)
        while not self._is_over.wait(1) and slow.recv(512):
            pass

    def _raw(self, head: str, buffer_bytes: int) -> socket.socket:
        host, port = self._url.removeprefix("http://").split(":")
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        client.bind((ATTACKER, 0))
        client.connect((host, int(port)))
        self._stack.callback(client.close)
        client.sendall(f"{head}\r\nHost: {LOOPBACK}\r\n\r\n".encode())
        self.statuses["requested and read slowly"] += 1
        return client

    def _request_statements(self) -> None:
        month = f"{datetime.now(NEW_YORK):%Y-%m}"
        cookie = {"Cookie": f"sessionid={self._hostile['session']}"}
        self._request("statement", "GET", f"/statements/{month}.pdf", headers=cookie)

    def _enter_slow_webhook_hosts(self) -> None:
        self._request("webhook", "POST", "/api/v1/webhooks", json={"url": f"https://{uuid4()}.example.org/hook"})

    def _guess_passwords(self) -> None:
        guess = {"email": f"{uuid4()}@example.com", "password": str(uuid4()), "name": "x"}
        self._request("guess", "POST", "/api/v1/tokens", json=guess)

    def _place(self) -> None:
        self._request("place", "POST", "/api/v1/trades", json=PLACING)


if __name__ == "__main__":
    # A real attacker has machines of its own: this one takes only the CPU time that the brokerage leaves.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with Attack(sys.argv[1], json.loads(sys.argv[2])) as running:
        sys.stdin.read()
    print(json.dumps(running.statuses), flush=True)  # noqa: T201
