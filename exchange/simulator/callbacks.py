"""Deliver reports to brokers in signed batches. Each batch is posted until it is answered 2xx."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any
from uuid import uuid4

import structlog
from standardwebhooks import Webhook

from exchange.simulator.clock import Clock, machine_time
from exchange.simulator.faults import Faults
from exchange.simulator.formats import SECOND, to_datetime
from exchange.simulator.http_client import Address, HttpClient, NoAnswer
from exchange.simulator.order_store import Order, OrderStore, report

log = structlog.get_logger("exchange.callbacks")

REPORTS_MAX = 100
ANSWER_SECONDS_MAX = 5.0

# Concurrent posts to one address. Reports that arrive meanwhile share the next batch.
CONCURRENT_POSTS_MAX = 4

# The pause before the second attempt. It doubles with each attempt up to the maximum, with 25 % of jitter.
PAUSE_SECONDS_FIRST = 0.5
PAUSE_SECONDS_MAX = 15.0

# After this many consecutive failures, an address is considered unreachable, and new batches wait too.
FAILURES_UNTIL_UNREACHABLE = 4

# How long to collect answered deliveries before writing them to the database at once. If the process is killed
# meanwhile, their reports are sent again.
RECORD_SECONDS = 0.05

# While more batches than this wait for another attempt at one address, no new ones are sent.
RETRIES_MAX = 256


@dataclass(order=True, slots=True)
class Delivery:
    """A batch of reports. Every attempt to deliver it sends the same id and body."""

    due: float
    webhook_id: str = field(compare=False)
    body: str = field(compare=False)
    sequences: list[int] = field(compare=False)
    attempts: int = field(default=0, compare=False)


class Callbacks:
    """Queues reports by callback URL."""

    def __init__(self, store: OrderStore, faults: Faults, clock: Clock, webhook: Webhook) -> None:
        self.store = store
        self.faults = faults
        self._clock = clock
        self.webhook = webhook
        self.http_client = HttpClient()
        self.tasks: set[asyncio.Task[None]] = set()
        self._queues: dict[str, AddressQueue] = {}
        self._answered: list[int] = []

    def put(self, callback_url: str, sequence: int) -> None:
        """Deliver the report on the trade with this sequence number, at least once, also across restarts."""
        self._put(callback_url, sequence)

    def put_false_report(self, callback_url: str, false_report: dict[str, Any]) -> None:
        """Deliver a report that is not in the database. It is lost if the process ends."""
        self._put(callback_url, false_report)

    def _put(self, callback_url: str, item: int | dict[str, Any]) -> None:
        queue = self._queues.get(callback_url)
        if queue is None:
            queue = self._queues[callback_url] = AddressQueue(self, callback_url)
        delay = self.faults.duration("callbackDelayMs")
        if delay:
            asyncio.get_running_loop().call_later(delay / SECOND, queue.put, item)
        else:
            queue.put(item)

    def wake(self) -> None:
        """Resume sending after a fault has ended. Idempotent."""
        for queue in self._queues.values():
            queue.wake()

    def note_answered(self, sequences: list[int]) -> None:
        """Record, within RECORD_SECONDS, that these reports need not be sent again."""
        if not self._answered:
            asyncio.get_running_loop().call_later(RECORD_SECONDS, self._write_answered)
        self._answered += sequences

    def _write_answered(self) -> None:
        answered, self._answered = self._answered, []
        if answered:
            try:
                self.store.delivered(answered, self._clock.now())
            except sqlite3.Error as error:
                log.error("record_not_written", error=str(error), reports=len(answered))

    def close(self) -> None:
        """Cancel all posts. Reports that were not acknowledged are sent again after a restart."""
        self._write_answered()
        for task in self.tasks:
            task.cancel()
        self.http_client.close()


class AddressQueue:
    """The reports for one address, and the batches that are being sent to it."""

    def __init__(self, callbacks: Callbacks, url: str) -> None:
        self._callbacks = callbacks
        self._url = url
        self._address = Address.of(url)
        self._waiting: deque[int | dict[str, Any]] = deque()
        self._retries: list[Delivery] = []
        self._posts = 0
        self._failures = 0
        self._unreachable_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._woken = False

    def put(self, item: int | dict[str, Any]) -> None:
        """Queue a report: the sequence number of its trade or, if it is false, the report itself."""
        self._waiting.append(item)
        self.wake()

    def wake(self) -> None:
        """Send what is due in the next iteration of the event loop, so that simultaneous reports share a batch."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._woken = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while not self._callbacks.faults.down and self._posts < CONCURRENT_POSTS_MAX:
            delivery = self._next()
            if delivery is None:
                self._wait()
                return
            self._posts += 1
            self._run(self._deliver(delivery))
            if self._callbacks.faults.happens("callbackDuplicateRate"):
                self._run(self._post_duplicate(delivery))

    def _next(self) -> Delivery | None:
        at = self._loop.time()
        if self._retries and self._retries[0].due <= at:
            return heappop(self._retries)
        while self._waiting and self._unreachable_until <= at and len(self._retries) < RETRIES_MAX:
            items = [self._waiting.popleft() for _ in range(min(REPORTS_MAX, len(self._waiting)))]
            delivery = self._make_delivery(items)
            if delivery is not None:
                return delivery
        return None

    def _make_delivery(self, items: list[int | dict[str, Any]]) -> Delivery | None:
        """Return a batch of these reports, without those that a fault drops; None if no report remains."""
        callbacks = self._callbacks
        orders = callbacks.store.read([item for item in items if isinstance(item, int)])
        dropped = {order.sequence for order in orders if self._is_dropped(order)}
        if dropped:
            callbacks.note_answered(list(dropped))
        true_reports = {order.sequence: report(order) for order in orders if order.sequence not in dropped}
        queued = (item if isinstance(item, dict) else true_reports.get(item) for item in items)
        reports = [entry for entry in queued if entry is not None]
        if not reports:
            return None
        body = json.dumps({"reports": reports}, separators=(",", ":"))
        return Delivery(0.0, f"msg_{uuid4().hex}", body, list(true_reports))

    def _is_dropped(self, order: Order) -> bool:
        faults = self._callbacks.faults
        return faults.happens("callbackDropRate") or faults.is_silent(order.trade_id, order.ticker)

    def _wait(self) -> None:
        times = [self._retries[0].due] if self._retries else []
        if self._waiting and len(self._retries) < RETRIES_MAX:
            times.append(self._unreachable_until)
        if times:
            self._timer = self._loop.call_at(min(times), self._send)

    def _run(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._callbacks.tasks.add(task)
        task.add_done_callback(self._callbacks.tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        failure = await self._post(delivery)
        self._posts -= 1
        if failure is None:
            self._succeeded(delivery)
        else:
            self._failed(delivery, failure)
        self.wake()

    def _succeeded(self, delivery: Delivery) -> None:
        if self._failures >= FAILURES_UNTIL_UNREACHABLE:
            log.info("callbacks_answered_again", url=self._url)
            for retry in self._retries:
                retry.due = 0.0
        self._failures = 0
        self._unreachable_until = 0.0
        if delivery.sequences:
            self._callbacks.note_answered(delivery.sequences)

    def _failed(self, delivery: Delivery, failure: str) -> None:
        delivery.attempts += 1
        self._failures += 1
        if self._failures == FAILURES_UNTIL_UNREACHABLE:
            log.warning("callbacks_not_answered", url=self._url, failure=failure)
        if self._failures >= FAILURES_UNTIL_UNREACHABLE:
            self._unreachable_until = self._loop.time() + _pause(self._failures - FAILURES_UNTIL_UNREACHABLE + 1)
        delivery.due = self._loop.time() + _pause(delivery.attempts)
        heappush(self._retries, delivery)

    async def _post_duplicate(self, delivery: Delivery) -> None:
        await self._post(delivery)

    async def _post(self, delivery: Delivery) -> str | None:
        """Post a batch once. Return None if it was answered 2xx, otherwise what happened."""
        # Signed with the machine's time, because no broker would accept a signature from another day.
        skew = self._callbacks.faults.seconds("callbackTimestampSkewSeconds")
        at = to_datetime(machine_time() + int(skew * SECOND))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "exchange-simulator",
            "webhook-id": delivery.webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._callbacks.webhook.sign(delivery.webhook_id, at, delivery.body),
        }
        try:
            body = delivery.body.encode()
            status = await self._callbacks.http_client.post(self._address, headers, body, ANSWER_SECONDS_MAX)
        except TimeoutError:
            return f"no answer within {ANSWER_SECONDS_MAX} s"
        except (OSError, NoAnswer, ValueError) as error:
            return str(error)
        return None if 200 <= status < 300 else f"answered {status}"


def _pause(times: int) -> float:
    """Return how many seconds to wait after this many failures."""
    pause = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2.0 ** min(times - 1, 10))
    return pause * random.uniform(0.75, 1.25)
