"""Tell brokers how their trades ended: signed posts of sets of reports, repeated until they are answered 2xx."""

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

#: Posts under way to one address; while there are as many, reports queue up and share the next.
UNDER_WAY_MAX = 4

#: Pauses before a repeat: the first, doubling up to the last, each up to a quarter longer or shorter.
PAUSE_SECONDS_FIRST = 0.5
PAUSE_SECONDS_MAX = 15.0

#: After so many failures in a row an address counts as out of reach, and new sets wait too.
FAILURES_UNTIL_OUT = 4

#: What was answered is noted in the record this much later, with all that is answered meanwhile; a process that dies
#: in between sends it again.
NOTE_SECONDS = 0.05

#: Sets that wait for their repeat at one address; beyond it new ones are not begun.
REPEATS_MAX = 256


@dataclass(order=True, slots=True)
class Delivery:
    """One set of reports on its way, the same with the same id at every attempt."""

    due: float
    webhook_id: str = field(compare=False)
    body: str = field(compare=False)
    sequences: list[int] = field(compare=False)
    attempts: int = field(default=0, compare=False)


class Callbacks:
    """The lines to all callback addresses."""

    def __init__(self, store: OrderStore, faults: Faults, clock: Clock, webhook: Webhook) -> None:
        self.store = store
        self.faults = faults
        self._clock = clock
        self.webhook = webhook
        self.http_client = HttpClient()
        self.tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[str, Line] = {}
        self._answered: list[int] = []

    def put(self, callback_url: str, sequence: int) -> None:
        """Deliver the report of the trade with that sequence, at least once; across restarts by way of the record."""
        self._put(callback_url, sequence)

    def put_false(self, callback_url: str, false_report: dict[str, Any]) -> None:
        """Deliver a report that is not in the record; it does not outlive the process."""
        self._put(callback_url, false_report)

    def _put(self, callback_url: str, item: int | dict[str, Any]) -> None:
        line = self._lines.get(callback_url)
        if line is None:
            line = self._lines[callback_url] = Line(self, callback_url)
        delay = self.faults.duration("callbackDelayMs")
        if delay:
            asyncio.get_running_loop().call_later(delay / SECOND, line.put, item)
        else:
            line.put(item)

    def wake(self) -> None:
        """Go on where a fault has ended. Repeating it changes nothing."""
        for line in self._lines.values():
            line.wake()

    def note_answered(self, sequences: list[int]) -> None:
        """Remember that these reports need not be sent again."""
        if not self._answered:
            asyncio.get_running_loop().call_later(NOTE_SECONDS, self._write_answered)
        self._answered += sequences

    def _write_answered(self) -> None:
        answered, self._answered = self._answered, []
        if answered:
            try:
                self.store.delivered(answered, self._clock.now())
            except sqlite3.Error as error:
                log.error("record_not_written", error=str(error), reports=len(answered))

    def close(self) -> None:
        """Drop what is under way; the record still knows what was not answered."""
        self._write_answered()
        for task in self.tasks:
            task.cancel()
        self.http_client.close()


class Line:
    """What goes to one address."""

    def __init__(self, callbacks: Callbacks, url: str) -> None:
        self._callbacks = callbacks
        self._url = url
        self._address = Address.of(url)
        self._waiting: deque[int | dict[str, Any]] = deque()
        self._repeats: list[Delivery] = []
        self._under_way = 0
        self._failures = 0
        self._out_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._soon = False

    def put(self, item: int | dict[str, Any]) -> None:
        self._waiting.append(item)
        self.wake()

    def wake(self) -> None:
        """Look for what can be sent, once everybody else has had their turn: reports of one moment share a set."""
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while not self._callbacks.faults.down and self._under_way < UNDER_WAY_MAX:
            delivery = self._next()
            if delivery is None:
                self._sleep()
                return
            self._under_way += 1
            self._start(self._deliver(delivery))
            if self._callbacks.faults.happens("callbackDuplicateRate"):
                self._start(self._attempt_for_nothing(delivery))

    def _next(self) -> Delivery | None:
        at = self._loop.time()
        if self._repeats and self._repeats[0].due <= at:
            return heappop(self._repeats)
        while self._waiting and self._out_until <= at and len(self._repeats) < REPEATS_MAX:
            items = [self._waiting.popleft() for _ in range(min(REPORTS_MAX, len(self._waiting)))]
            delivery = self._set_of(items)
            if delivery is not None:
                return delivery
        return None

    def _set_of(self, items: list[int | dict[str, Any]]) -> Delivery | None:
        """Make a delivery of those reports, less the ones that a fault loses."""
        callbacks = self._callbacks
        orders = callbacks.store.read([item for item in items if isinstance(item, int)])
        lost = {order.sequence for order in orders if self._is_lost(order)}
        if lost:
            callbacks.note_answered(list(lost))
        true = {order.sequence: report(order) for order in orders if order.sequence not in lost}
        reports = [item if isinstance(item, dict) else true.get(item) for item in items]
        reports = [one for one in reports if one is not None]
        if not reports:
            return None
        body = json.dumps({"reports": reports}, separators=(",", ":"))
        return Delivery(0.0, f"msg_{uuid4().hex}", body, list(true))

    def _is_lost(self, order: Order) -> bool:
        faults = self._callbacks.faults
        return faults.happens("callbackDropRate") or faults.is_silent(order.trade_id, order.ticker)

    def _sleep(self) -> None:
        moments = [self._repeats[0].due] if self._repeats else []
        if self._waiting and len(self._repeats) < REPEATS_MAX:
            moments.append(self._out_until)
        if moments:
            self._timer = self._loop.call_at(min(moments), self._pump)

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._callbacks.tasks.add(task)
        task.add_done_callback(self._callbacks.tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        failure = await self._attempt(delivery)
        self._under_way -= 1
        if failure is None:
            self._succeeded(delivery)
        else:
            self._failed(delivery, failure)
        self.wake()

    def _succeeded(self, delivery: Delivery) -> None:
        if self._failures >= FAILURES_UNTIL_OUT:
            log.info("callbacks_answered_again", url=self._url)
            for repeat in self._repeats:
                repeat.due = 0.0
        self._failures = 0
        self._out_until = 0.0
        if delivery.sequences:
            self._callbacks.note_answered(delivery.sequences)

    def _failed(self, delivery: Delivery, failure: str) -> None:
        delivery.attempts += 1
        self._failures += 1
        if self._failures == FAILURES_UNTIL_OUT:
            log.warning("callbacks_not_answered", url=self._url, failure=failure)
        if self._failures >= FAILURES_UNTIL_OUT:
            self._out_until = self._loop.time() + _pause(self._failures - FAILURES_UNTIL_OUT + 1)
        delivery.due = self._loop.time() + _pause(delivery.attempts)
        heappush(self._repeats, delivery)

    async def _attempt_for_nothing(self, delivery: Delivery) -> None:
        await self._attempt(delivery)

    async def _attempt(self, delivery: Delivery) -> str | None:
        """Post once. None when it was answered 2xx, else words for why not."""
        # By the machine's time: a clock that a tester moves to another day must not make every signature stale.
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
    """Seconds before the repeat after so many failures."""
    pause = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2.0 ** min(times - 1, 10))
    return pause * random.uniform(0.75, 1.25)
