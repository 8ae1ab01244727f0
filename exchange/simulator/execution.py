"""Accept trades, execute each one once when it is due, and pass the reports on for delivery."""

from __future__ import annotations

import asyncio
import sqlite3
from heapq import heapify, heappop, heappush
from typing import Any, Protocol
from uuid import uuid4

import structlog

from exchange.simulator.clock import Clock, machine_time
from exchange.simulator.execute_request import ExecuteRequest, Malformed, Terms
from exchange.simulator.false_reports import contradicting, garbled, with_broken_terms
from exchange.simulator.faults import Faults
from exchange.simulator.formats import SECOND, UNITS_PER_DOLLAR, format_money, format_time
from exchange.simulator.market import Market
from exchange.simulator.order_store import Decision, Order, OrderStore, report

log = structlog.get_logger("exchange.execution")

# How many trades are executed at once. The event loop handles other calls in between.
EXECUTIONS_AT_ONCE = 500

# The pause after the database could not be written.
STORE_PAUSE_SECONDS = 1.0


class Outbox(Protocol):
    """Delivers final reports."""

    def put(self, callback_url: str, sequence: int) -> None:
        """Deliver the report on the trade with this sequence number, as stored when it is sent."""

    def put_false_report(self, callback_url: str, false_report: dict[str, Any]) -> None:
        """Deliver a report that is not in the database."""


class ExecutionEngine:
    """Executes accepted trades when they are due."""

    def __init__(self, store: OrderStore, market: Market, faults: Faults, outbox: Outbox, clock: Clock) -> None:
        self._store = store
        self._market = market
        self._faults = faults
        self._outbox = outbox
        self._clock = clock
        # Due times are the machine's, because the clock's offset must not change a latency.
        self._due: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def resume(self) -> None:
        """Resume what an earlier process left to execute or deliver. Call it once, before the first trade."""
        for pending in self._store.pending():
            if pending.final:
                self._outbox.put(pending.callback_url, pending.sequence)
            else:
                self._due.append((pending.due_at, pending.sequence))
        heapify(self._due)
        if self._due:
            log.info("resumed", trades=len(self._due))
        self.wake()

    async def accept(self, request: ExecuteRequest) -> list[dict[str, Any]]:
        """Store a set of trades durably; return for each trade whether it is ACCEPTED or REFUSED.

        A refused trade is not stored and never executes.

        Idempotent: a repeated trade is ACCEPTED again and executes once.

        Raises:
            sqlite3.Error: The database can't be written. None of the trades is stored.
        """
        received_at = self._clock.now()
        new: list[tuple[int, int]] = []
        results = [self._accept(trade, request.callback_url, received_at, new) for trade in request.trades]
        await self._store.database.committed()
        for entry in new:
            heappush(self._due, entry)
        if new:
            self.wake()
        return results

    def _accept(
        self, trade: Terms | Malformed, callback_url: str, at: int, new: list[tuple[int, int]]
    ) -> dict[str, Any]:
        if isinstance(trade, Malformed):
            return _refused(trade.trade_id, "invalid", trade.reason)
        if trade.expires_at is None or trade.expires_at > at:
            due_at = machine_time() + self._faults.latency()
            sequence = self._store.add(trade, callback_url, at, due_at)
            if sequence is not None:
                new.append((due_at, sequence))
                return _accepted(trade.trade_id)
        first = self._store.find(trade.trade_id)
        if first is None:
            return _refused(trade.trade_id, "expired", "expiresAt is past")
        if first.terms != trade:
            return _refused(trade.trade_id, "conflict", "this tradeId came before with other terms")
        self._store.received_again(trade.trade_id, callback_url, at)
        return _accepted(trade.trade_id)

    def wake(self) -> None:
        """Execute what is due now, and schedule the next execution. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self._faults.down:
            pause = max(0, self._due[0][0] - machine_time()) / SECOND
            # If the machine's clock is set back, a trade must not wait for long.
            self._timer = asyncio.get_running_loop().call_later(min(pause, 60.0), self._execute_due)

    def _execute_due(self) -> None:
        self._timer = None
        if self._faults.down:
            return
        due_until = machine_time()
        entries: list[tuple[int, int]] = []
        while self._due and self._due[0][0] <= due_until and len(entries) < EXECUTIONS_AT_ONCE:
            entries.append(heappop(self._due))
        if entries:
            try:
                self.execute([sequence for _, sequence in entries], self._clock.now())
            except sqlite3.Error as error:
                log.error("record_not_written", error=str(error), trades=len(entries))
                for entry in entries:
                    heappush(self._due, entry)
                self._timer = asyncio.get_running_loop().call_later(STORE_PAUSE_SECONDS, self._execute_due)
                return
        self.wake()

    def execute(self, sequences: list[int], at: int) -> None:
        """Decide on trades at a time, and report the outcomes. Idempotent: a decision is final."""
        orders = [order for order in self._store.read(sequences) if order.final_at is None]
        decided = [(order, self._decide(order, at)) for order in orders]
        self._store.decide((order.sequence, decision) for order, decision in decided)
        self._store.database.commit()
        for order, decision in decided:
            self._send_report(order, decision)

    def _decide(self, order: Order, at: int) -> Decision:
        """Return the outcome of a trade that is executed at a time."""

        def rejected(code: str, reason: str) -> Decision:
            return Decision("REJECTED", None, None, reason, code, str(uuid4()), at)

        if order.expires_at is not None and order.expires_at <= at:
            return rejected("expired", f"not executed before {format_time(order.expires_at)}")
        if order.ticker not in self._market.listed(at):
            return rejected("unknown_ticker", f"{order.ticker} is not listed")
        if not self._market.hours.is_open(at):
            return rejected("past_market_hours", "the market is closed")
        split = self._market.split_between(order.ticker, order.received_at, at)
        if split is not None:
            return rejected("corporate_action", f"{order.ticker} was split on {split.ex_date} after the trade arrived")
        if self._faults.happens("randomErrorRate"):
            return rejected("exchange_error", "the exchange could not execute the trade")
        price = self._market.price(order.ticker, at)
        amount = price * order.quantity
        if order.type == "BUY" and order.max_price is not None and amount > int(order.max_price):
            cap = format_money(int(order.max_price))
            return rejected("insufficient_funds", f"cost of {format_money(amount)} is over maxPrice {cap}")
        return Decision("FILLED", price, amount, None, None, str(uuid4()), at)

    def _send_report(self, order: Order, decision: Decision) -> None:
        """Pass the report to the outbox, with the false reports that faults add before or after it."""
        url, true_report = order.callback_url, _final_report(order, decision)
        if self._faults.happens("callbackGarbleRate"):
            self._outbox.put_false_report(url, garbled(true_report, self._faults.garble_kind()))
        if self._faults.happens("breakTermsRate"):
            self._outbox.put_false_report(url, with_broken_terms(true_report))
        self._outbox.put(url, order.sequence)
        if self._faults.happens("contradictRate"):
            listed = order.ticker in self._market.listed(decision.final_at)
            price = self._market.price(order.ticker, decision.final_at) if listed else UNITS_PER_DOLLAR
            self._outbox.put_false_report(url, contradicting(true_report, price))


def _accepted(trade_id: str) -> dict[str, Any]:
    return {"tradeId": trade_id, "status": "ACCEPTED", "code": None}


def _refused(trade_id: str, code: str, reason: str) -> dict[str, Any]:
    return {"tradeId": trade_id, "status": "REFUSED", "code": code, "reason": reason}


def _final_report(order: Order, decision: Decision) -> dict[str, Any]:
    return report(order._replace(**decision._asdict()))
