"""The endpoints for trades: Execute, TradeExists, and the exchange's own record."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from exchange.simulator.app import Routes
from exchange.simulator.errors import Problem
from exchange.simulator.execute_request import read_execute
from exchange.simulator.execution import ExecutionEngine
from exchange.simulator.false_reports import garbled
from exchange.simulator.faults import Faults
from exchange.simulator.formats import SECOND
from exchange.simulator.http_server import Caller
from exchange.simulator.order_store import Order, OrderStore, record_entry, report
from exchange.simulator.parameters import Call

PAGE_MAX = 1000
PAGE_DEFAULT = 100

# A call that a fault drops is answered 503 after this time, if the caller is still waiting.
LOST_ANSWER_SECONDS = 60.0


class TradingApi:
    """Accepts trades and reports their outcomes."""

    def __init__(self, store: OrderStore, engine: ExecutionEngine, faults: Faults) -> None:
        self._store = store
        self._engine = engine
        self._faults = faults

    def routes(self) -> Routes:
        """Return the endpoints by path and method."""
        return {"/v1/trades": {"POST": self.execute, "GET": self.record}, "/v1/trades/": {"GET": self.trade}}

    async def execute(self, call: Call) -> tuple[int, Any] | None:
        """Store a set of trades (Execute), unless a fault prevents it."""
        body = call.json()
        request = read_execute(body)
        poisoned = any(self._faults.is_poison(trade.get("stockTicker")) for trade in body["trades"])
        if poisoned or self._faults.happens("executeErrorRate"):
            raise Problem(500, "internal_error", "the exchange failed; nothing was stored")
        if self._faults.happens("executeLostRate"):
            await _wait_for_disconnect(call.caller, LOST_ANSWER_SECONDS)
            raise Problem(503, "lost", "the exchange lost this call; nothing was stored")
        results = await self._engine.accept(request)
        if self._faults.happens("executeNoAnswerRate"):
            await _wait_for_disconnect(call.caller, None)
            return None
        hold = self._faults.duration("holdAnswerMs")
        if hold:
            await asyncio.sleep(hold / SECOND)
        return 202, {"results": results}

    async def trade(self, call: Call) -> tuple[int, Any] | None:
        """Return the report on one trade (TradeExists)."""
        order = self._store.find(call.name)
        if self._faults.is_silent(call.name, "" if order is None else order.ticker):
            await _wait_for_disconnect(call.caller, None)
            return None
        if order is None:
            identity = {"tradeId": call.name}
            raise Problem(404, "not_found", "the exchange does not know this trade", about=identity)
        await self._store.database.committed()
        return 200, report(order)

    async def record(self, call: Call) -> tuple[int, Any]:
        """Return a page of the exchange's own record, in order of arrival."""
        query = call.query()
        after = query.number("after", 0, 0, 2**62)
        limit = query.number("limit", PAGE_DEFAULT, 1, PAGE_MAX)
        orders = self._store.page(after, limit + 1)
        await self._store.database.committed()
        has_more = len(orders) > limit
        following = orders[limit - 1].sequence if has_more else None
        return 200, {"results": [self._entry(order) for order in orders[:limit]], "next": following}

    def _entry(self, order: Order) -> dict[str, Any]:
        entry = record_entry(order)
        if self._faults.happens_to("recordGarbleRate", order.trade_id):
            return garbled(entry, self._faults.garble_kind())
        return entry


async def _wait_for_disconnect(caller: Caller, seconds: float | None) -> None:
    """Wait until the caller hangs up, for at most this many seconds."""
    with suppress(TimeoutError):
        await asyncio.wait_for(caller.gone(), seconds)
