"""Simulated customers: they make random HTTP requests, and every request and response is recorded."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import urllib3

from chaos.record import Record, now

CLIENTS = 60
ANSWER_SECONDS_MAX = 8.0
PATIENCE_SECONDS = 60.0
"""How long a customer keeps retrying with the same key."""
RETRY_SECONDS = 1.0
NO_ANSWER = 0
"""Recorded instead of an HTTP status if there was no response: the request may or may not have been carried out."""
TICKERS = ("AAPL", "MSFT", "KO", "IBM", "WMT", "F")

ACTIVITY_WEIGHTS = {
    "place": 62,
    "place, give up": 6,
    "place without a key": 6,
    "place twice at once": 4,
    "look at a trade": 5,
    "look at trades": 4,
    "look at cash": 2,
    "deposit": 4,
    "withdraw": 5,
    "cancel": 3,
    "place and cancel": 3,
}


class Crowd:
    """Client threads, each of which acts for any of the customers (from `open_accounts`)."""

    def __init__(
        self,
        url: str,
        customers: Sequence[dict[str, Any]],
        record: Record,
        seed: int,
        rate: float,
        behind_balancer: bool = False,
    ) -> None:
        """
        Args:
            behind_balancer: count 502 and 504, which a balancer sends if a server doesn't respond, as no response.
        """
        self._no_answers = {502, 504} if behind_balancer else set()
        self.url, self.customers, self.record = url, customers, record
        self.over = threading.Event()
        self._seed, self._pause = seed, CLIENTS / rate
        self._local = threading.local()
        self._twice = ThreadPoolExecutor(CLIENTS)
        self._keys = count(1)
        self._trades: list[tuple[dict[str, Any], str]] = []  # placed trades to look at and cancel later
        self._threads = [threading.Thread(target=self._act, args=(number,), daemon=True) for number in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Start no new requests, and wait until the current ones are answered or given up."""
        self.over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS + 2 * ANSWER_SECONDS_MAX)
        self._twice.shutdown()

    def _act(self, number: int) -> None:
        rng = random.Random(f"{self._seed} client {number}")
        due = time.monotonic() + rng.uniform(0, self._pause)
        while not self.over.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._pause * rng.uniform(0.5, 1.5), time.monotonic() - 2.0)
            customer = rng.choice(self.customers)
            self._do(rng.choices(list(ACTIVITY_WEIGHTS), list(ACTIVITY_WEIGHTS.values()))[0], customer, rng)

    def _do(self, context: str, customer: dict[str, Any], rng: random.Random) -> None:
        if context.startswith("place"):
            body = {
                "stockTicker": rng.choice(TICKERS[: 1 + customer["customer"] % len(TICKERS)]),
                "type": rng.choices(["BUY", "SELL"], [55, 45])[0],
                "quantity": rng.randint(1, 5),
            }
            self._place(context, customer, body)
        elif context in {"deposit", "withdraw"}:
            path = {"deposit": "/api/v1/deposits", "withdraw": "/api/v1/withdrawals"}[context]
            body = {"amount": f"{rng.randint(1, 2_000_000) / 10_000:.4f}"}
            self._call_until_answered(customer, path, body, self._key())
        elif context == "look at trades":
            self.call(customer, "GET", "/api/v1/trades?limit=20")
        elif context == "look at cash":
            self.call(customer, "GET", rng.choice(["/api/v1/balance", "/api/v1/positions", "/api/v1/postings?limit=5"]))
        elif self._trades:
            owner, trade_id = rng.choice(self._trades[-500:] if context != "cancel" else self._trades[-20:])
            self._cancel(owner, trade_id) if context == "cancel" else self.call(
                owner, "GET", f"/api/v1/trades/{trade_id}"
            )

    def _cancel(self, customer: dict[str, Any], trade_id: str) -> None:
        self.call(customer, "POST", f"/api/v1/trades/{trade_id}/cancel")

    def _place(self, context: str, customer: dict[str, Any], body: dict[str, Any]) -> None:
        path, key = "/api/v1/trades", self._key()
        if context in {"place", "place and cancel"}:
            status, answer = self._call_until_answered(customer, path, body, key)
        elif context == "place twice at once":
            repeated = self._twice.submit(self.call, customer, "POST", path, body, key)
            status, answer = self.call(customer, "POST", path, body, key)
            repeated.result()
        else:
            status, answer = self.call(customer, "POST", path, body, "" if "without" in context else key)
        if status == 201:
            self._trades.append((customer, answer["tradeId"]))
            if context == "place and cancel":
                self._cancel(customer, answer["tradeId"])

    def _call_until_answered(
        self, customer: dict[str, Any], path: str, body: dict[str, Any], key: str
    ) -> tuple[int, Any]:
        """Retry with the same key, as a client should, until the response is not “unavailable”."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            status, answer = self.call(customer, "POST", path, body, key)
            if status not in {NO_ANSWER, 429, 503} or time.monotonic() > deadline:
                return status, answer
            time.sleep(RETRY_SECONDS)

    def _key(self) -> str:
        return f"{self._seed}-{next(self._keys)}"

    def call(
        self, customer: dict[str, Any], method: str, path: str, body: dict[str, Any] | None = None, key: str = ""
    ) -> tuple[int, Any]:
        """Make one request, record it with its response, and return the status (or NO_ANSWER) and the decoded body."""
        pool = self._local.__dict__.setdefault(
            "pool", urllib3.PoolManager(retries=False, timeout=ANSWER_SECONDS_MAX, maxsize=1)
        )
        headers = {"Authorization": f"Bearer {customer['token']}"} | ({"Idempotency-Key": key} if key else {})
        entry: dict[str, Any] = {
            "customer": customer["customer"],
            "method": method,
            "path": path,
            "body": body,
            "key": key,
        }
        began = now()
        try:
            answer = pool.request(method, self.url + path, json=body, headers=headers)
            content = answer.data
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.record.request(**entry, began=began, ended=now(), status=NO_ANSWER, answer=repr(error)[:120])
            return NO_ANSWER, None
        if answer.status in self._no_answers:
            self.record.request(
                **entry, began=began, ended=now(), status=NO_ANSWER, answer=f"balancer: {answer.status}"
            )
            return NO_ANSWER, None
        try:
            decoded = json.loads(content) if content else None
        except ValueError:
            decoded = {"notJson": content[:200].decode(errors="replace")}
        self.record.request(
            **entry,
            began=began,
            ended=now(),
            status=answer.status,
            answer=decoded,
            retryAfter=answer.headers.get("Retry-After"),
        )
        return answer.status, decoded
