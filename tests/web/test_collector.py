"""Collected values are written together, a moment later, and an outage of the database loses none."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.db import DataError, OperationalError

from tests.races.concurrency import eventually
from web import collector
from web.collector import Collector

pytestmark = pytest.mark.django_db(transaction=True)  # the thread closes its connection


class Table:
    """Records what it is told to write, each time as a dictionary. If there is an `error`, it raises that instead."""

    def __init__(self) -> None:
        self.sets: list[dict[str, int]] = []
        self.error: Exception | None = None
        self.tries = 0
        self.collector = Collector(self.write)

    def write(self, values: Mapping[str, int]) -> None:
        self.tries += 1
        if self.error:
            raise self.error
        self.sets.append(dict(values))


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def late(table: Table, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A table whose collector only writes when the test says so."""
    monkeypatch.setattr(collector, "WAIT_SECONDS", 3600)
    table.collector.start()
    return table


def test_values_are_written_at_once_unless_it_was_started(table: Table) -> None:
    table.collector.add("a", 1)
    assert table.sets == [{"a": 1}]
    table.error = OperationalError("down")
    with pytest.raises(OperationalError):
        table.collector.add("b", 2)


def test_its_thread_writes_soon_and_again_and_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "WAIT_SECONDS", 0.05)
    table.collector.start()
    table.collector.add("a", 1)
    eventually(lambda: table.sets == [{"a": 1}])
    table.collector.add("b", 2)
    eventually(lambda: table.sets == [{"a": 1}, {"b": 2}])


def test_values_are_written_at_once_again_after_it_was_stopped(late: Table) -> None:
    late.collector.stop()
    late.collector.add("a", 1)
    assert late.sets == [{"a": 1}]


def test_values_are_written_together_each_key_once(late: Table) -> None:
    for key, value in [("a", 1), ("b", 2), ("a", 3)]:
        late.collector.add(key, value)
    assert late.sets == []
    late.collector.write()
    late.collector.write()
    assert late.sets == [{"a": 3, "b": 2}]


def test_values_outlast_an_outage_and_newer_ones_win(late: Table) -> None:
    late.collector.add("a", 1)
    late.collector.add("b", 2)
    late.error = OperationalError("the database is down")
    late.collector.write()
    late.collector.add("a", 3)
    late.error = None
    late.collector.write()
    assert late.sets == [{"a": 3, "b": 2}]


def test_a_set_that_can_never_be_written_does_not_hold_up_the_next(late: Table) -> None:
    late.collector.add("a", 1)
    late.error = DataError("no such value")
    late.collector.write()
    late.error = None
    late.collector.add("b", 2)
    late.collector.write()
    assert late.sets == [{"b": 2}]
    assert late.tries == 2


def test_its_thread_goes_on_after_an_outage(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "WAIT_SECONDS", 0.05)
    table.error = OperationalError("the database is down")
    table.collector.start()
    table.collector.add("a", 1)
    eventually(lambda: table.tries >= 2)
    table.error = None
    eventually(lambda: table.sets == [{"a": 1}])


def test_any_value_may_be_collected(late: Table) -> None:
    value: Any = None
    late.collector.add("a", value)
    late.collector.write()
    assert late.sets == [{"a": None}]
