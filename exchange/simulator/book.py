"""Takes trades, executes each one once when its time has come, and hands the reports on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Protocol
from uuid import uuid4

import structlog

from exchange.simulator.faults import Faults
from exchange.simulator.market import Market
from exchange.simulator.notation import SECOND, money, now, rfc3339
from exchange.simulator.store import Decision, Order, Store, report
from exchange.simulator.terms import Malformed, Request, Terms

log = structlog.get_logger("exchange.book")

#: Trades executed in one go; the loop serves others in between.
EXECUTIONS_AT_ONCE = 500

#: Pause after the record could not be written.
STORE_PAUSE_SECONDS = 1.0


class Outbox(Protocol):
    """Where final reports go."""

    def put(self, callback_url: str, sequence: int) -> None:
        """Deliver the report of the trade with that sequence, as the record holds it when it is sent."""

    def put_false(self, callback_url: str, false_report: dict[str, Any]) -> None:
        """Deliver a report that is not in the record."""


class Book:
    """The trades of the record that have not been executed yet, in order of when they are due."""

    def __init__(
        self, store: Store, market: Market, faults: Faults, outbox: Outbox, clock: Callable[[], int] = now
    ) -> None:
        self._store = store
        self._market = market
        self._faults = faults
        self._outbox = outbox
        self._clock = clock
        self._due: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def resume(self) -> None:
        """Take up what an earlier process left to execute or deliver. Called once, before the first trade comes."""
        for pending in self._store.pending():
            if pending.final:
                self._outbox.put(pending.callback_url, pending.sequence)
            else:
                self._due.append((pending.due_at, pending.sequence))
        heapify(self._due)
        if self._due:
            log.info("resumed", trades=len(self._due))
        self.wake()

    async def take(self, request: Request) -> list[dict[str, Any]]:
        """Store a set of trades and answer, each for itself, ACCEPTED or REFUSED; durable when this returns.

        A refused trade is not stored and never executes. The same trade again is ACCEPTED and executes once.
        Raises sqlite3.Error when the record can't be written; then none of the set is stored.
        """
        received_at = self._clock()
        fresh: list[tuple[int, int]] = []
        results = [self._take(trade, request.callback_url, received_at, fresh) for trade in request.trades]
        await self._store.committed()
        for entry in fresh:
            heappush(self._due, entry)
        if fresh:
            self.wake()
        return results

    def _take(
        self, trade: Terms | Malformed, callback_url: str, at: int, fresh: list[tuple[int, int]]
    ) -> dict[str, Any]:
        if isinstance(trade, Malformed):
            return _refused(trade.trade_id, "invalid", trade.reason)
        if trade.expires_at is None or trade.expires_at > at:
            due_at = at + self._faults.latency()
            sequence = self._store.add(trade, callback_url, at, due_at)
            if sequence is not None:
                fresh.append((due_at, sequence))
                return _accepted(trade.trade_id)
        first = self._store.find(trade.trade_id)
        if first is None:
            return _refused(trade.trade_id, "expired", "expiresAt is past")
        if first.terms != trade:
            return _refused(trade.trade_id, "conflict", "this tradeId came before with other terms")
        self._store.received_again(trade.trade_id, callback_url, at)
        return _accepted(trade.trade_id)

    def wake(self) -> None:
        """Look at what is due, now and whenever the next trade is. Repeating it changes nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and not self._faults.down:
            pause = max(0, self._due[0][0] - self._clock()) / SECOND
            # A clock that is set back must not keep a trade waiting for long.
            self._timer = asyncio.get_running_loop().call_later(min(pause, 60.0), self._execute_due)

    def _execute_due(self) -> None:
        self._timer = None
        at = self._clock()
        entries: list[tuple[int, int]] = []
        while self._due and self._due[0][0] <= at and len(entries) < EXECUTIONS_AT_ONCE:
            entries.append(heappop(self._due))
        if entries and not self._faults.down:
            try:
                self._execute([sequence for _, sequence in entries], at)
            except sqlite3.Error as error:
                log.error("record_not_written", error=str(error), trades=len(entries))
                for entry in entries:
                    heappush(self._due, entry)
                self._timer = asyncio.get_running_loop().call_later(STORE_PAUSE_SECONDS, self._execute_due)
                return
        self.wake()

    def _execute(self, sequences: list[int], at: int) -> None:
        orders = [order for order in self._store.read(sequences) if order.final_at is None]
        decided = [(order, self._decide(order, at)) for order in orders]
        self._store.decide((order.sequence, decision) for order, decision in decided)
        self._store.commit()
        for order, decision in decided:
            self._hand_on(order, decision)

    def _decide(self, order: Order, at: int) -> Decision:
        """How a trade ends that is executed at that moment."""

        def rejected(code: str, reason: str) -> Decision:
            return Decision("REJECTED", None, None, reason, code, str(uuid4()), at)

        if order.expires_at is not None and order.expires_at <= at:
            return rejected("expired", f"not executed before {rfc3339(order.expires_at)}")
        if order.ticker not in self._market.listings:
            return rejected("unknown_ticker", f"{order.ticker} is not listed")
        if not self._market.hours.is_open(at):
            return rejected("past_market_hours", "the market is closed")
        if self._faults.happens("randomErrorRate"):
            return rejected("exchange_error", "the exchange could not execute the trade")
        price = self._market.price(order.ticker, at)
        amount = price * order.quantity
        if order.type == "BUY" and order.max_price is not None and amount > int(order.max_price):
            return rejected("insufficient_funds", f"cost of {money(amount)} is over {money(int(order.max_price))}")
        return Decision("FILLED", price, amount, None, None, str(uuid4()), at)

    def _hand_on(self, order: Order, decision: Decision) -> None:
        url = order.callback_url
        if self._faults.happens("breakTermsRate"):
            self._outbox.put_false(url, _with_broken_terms(_final_report(order, decision)))
        self._outbox.put(url, order.sequence)
        if self._faults.happens("contradictRate"):
            price = (
                self._market.price(order.ticker, decision.final_at) if order.ticker in self._market.listings else 10_000
            )
            self._outbox.put_false(url, _contradicting(_final_report(order, decision), price))


def _accepted(trade_id: str) -> dict[str, Any]:
    return {"tradeId": trade_id, "status": "ACCEPTED", "code": None}


def _refused(trade_id: str, code: str, reason: str) -> dict[str, Any]:
    return {"tradeId": trade_id, "status": "REFUSED", "code": code, "reason": reason}


def _final_report(order: Order, decision: Decision) -> dict[str, Any]:
    return report(order._replace(**decision._asdict()))


def _with_broken_terms(true: dict[str, Any]) -> dict[str, Any]:
    """The same report over twice the shares."""
    false = true | {"quantity": true["quantity"] * 2, "executionId": str(uuid4())}
    if true["amount"] is not None:
        whole, _, part = true["amount"].partition(".")
        false["amount"] = money(2 * (int(whole) * 10_000 + int(part)))
    return false


def _contradicting(true: dict[str, Any], price: int) -> dict[str, Any]:
    """FILLED where the true report says REJECTED, and the other way round."""
    false = true | {"executionId": str(uuid4())}
    if true["status"] == "FILLED":
        rejection = {"reason": "the exchange could not execute the trade", "reasonCode": "exchange_error"}
        return false | {"status": "REJECTED", "price": None, "amount": None} | rejection
    fill = {"price": money(price), "amount": money(price * true["quantity"])}
    return false | {"status": "FILLED", "reason": None, "reasonCode": None} | fill
