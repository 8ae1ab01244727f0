"""Changes in one transaction are durable together or not at all."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from exchange.simulator.calendar import Always
from exchange.simulator.clock import Clock
from exchange.simulator.database import Database
from exchange.simulator.execute_request import ExecuteRequest, Terms
from exchange.simulator.execution import ExecutionEngine
from exchange.simulator.faults import Faults
from exchange.simulator.market import Market
from exchange.simulator.order_store import OrderStore


def terms(trade_id: str, quantity: int = 1) -> Any:
    return Terms(trade_id, "IBM", "BUY", quantity, str(10**12), None)


class Outbox:
    def __init__(self) -> None:
        self.sequences: list[Any] = []

    def put(self, callback_url: str, sequence: int) -> None:
        self.sequences.append(sequence)

    def put_false_report(self, callback_url: str, false_report: Any) -> None:
        raise AssertionError


def fill_disk(store: Any) -> None:
    """Prevent the record's file from growing."""
    pages = next(iter(store.database.read("PRAGMA page_count")))[0]
    store.database.read(f"PRAGMA max_page_count = {pages}")


def make_room(store: Any) -> None:
    store.database.read("PRAGMA max_page_count = 1000000")


def test_a_set_that_does_not_fit_the_disk_is_not_stored_and_may_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, outbox = OrderStore(Database(tmp_path)), Outbox()
        engine = ExecutionEngine(store, Market(Always()), Faults(0), outbox, Clock())
        fill_disk(store)
        request = ExecuteRequest("http://broker/" + "x" * 2000, [terms(f"t{n}") for n in range(100)])
        with pytest.raises(sqlite3.Error):
            await engine.accept(request)
        assert store.page(0, 10) == []
        make_room(store)
        results = await engine.accept(request)
        assert {result["status"] for result in results} == {"ACCEPTED"}
        while len(outbox.sequences) < 100:
            await asyncio.sleep(0.001)
        assert {order.status for order in store.page(0, 1000)} == {"FILLED"}
        store.database.close()

    asyncio.run(scenario())


def test_sets_of_one_moment_share_a_transaction(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = OrderStore(Database(tmp_path))
        engine = ExecutionEngine(store, Market(Always()), Faults(3_600_000), Outbox(), Clock())
        commits = []
        store.database.connection.set_trace_callback(
            lambda statement: commits.append(statement) if statement == "COMMIT" else None
        )
        await asyncio.gather(*(engine.accept(ExecuteRequest("http://broker/", [terms(f"t{n}")])) for n in range(20)))
        assert len(commits) == 1
        assert len(store.page(0, 100)) == 20
        store.database.close()

    asyncio.run(scenario())


def test_a_decision_stands(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, outbox = OrderStore(Database(tmp_path)), Outbox()
        engine = ExecutionEngine(store, Market(Always()), Faults(0), outbox, Clock())
        await engine.accept(ExecuteRequest("http://broker/", [terms("t")]))
        while not outbox.sequences:
            await asyncio.sleep(0.001)
        first = store.find("t")
        assert first is not None
        assert first.final_at is not None
        engine.execute([first.sequence], first.final_at + 5)
        assert store.find("t") == first
        assert outbox.sequences == [first.sequence]
        store.database.close()

    asyncio.run(scenario())
