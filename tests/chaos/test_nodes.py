"""The plan of node faults, and the evaluation of the record."""

from __future__ import annotations

from itertools import islice

from chaos.followers import StreamReader, missed
from chaos.nodes import ALL_KINDS, at_random, table
from chaos.table import measure
from cluster.nodes import of_kind


def test_every_kind_of_node_is_killed_and_cut_off() -> None:
    faults = {(fault.action, fault.kinds) for fault in table()}
    assert {("kill", (kind,)) for kind in ALL_KINDS} <= faults
    assert {("cut", (kind,)) for kind in ALL_KINDS} <= faults


def test_a_standby_with_a_wrong_clock_becomes_the_primary_ahead_and_behind() -> None:
    assert sorted(fault.jump_seconds for fault in table() if fault.action == "clock") == [-3600, 3600]


def test_the_same_seed_gives_the_same_faults() -> None:
    assert list(islice(at_random(7), 50)) == list(islice(at_random(7), 50))
    assert list(islice(at_random(7), 50)) != list(islice(at_random(8), 50))


def test_random_faults_never_hit_a_primary_and_a_standby_together() -> None:
    assert not any({"primary", "standby"} <= set(fault.kinds) for fault in islice(at_random(3), 500))


def test_random_faults_hit_every_node_of_a_kind() -> None:
    for kind in ALL_KINDS:
        nodes = of_kind({"primary": "db", "standby": "db"}.get(kind, kind))
        hit = {fault.which % len(nodes) for fault in islice(at_random(5), 500) if kind in fault.kinds}
        assert hit == set(range(len(nodes))), kind


def test_silence_is_the_longest_time_without_a_placed_trade() -> None:
    requests = [
        {"method": "POST", "began": at, "ended": at + 0.1, "status": status}
        for at, status in [(100.0, 201), (101.0, 503), (103.9, 0), (104.9, 201), (109.0, 201)]
    ]
    requests += [{"method": "GET", "began": 101.0, "ended": 102.5, "status": 503}]
    trades = [{"placed_at": 100.0, "settled_at": 107.5}, {"placed_at": 90.0, "settled_at": 90.5}]
    row = {"began": 100.5, "ended": 103.0, "whole": 105.0}
    measured = measure(row, 108.0, requests, trades)
    assert measured["silenceSeconds"] == 4.9
    assert measured["longestDelaySeconds"] == 7.5
    assert (measured["slowestReadSeconds"], measured["slowestWriteSeconds"]) == (1.5, 0.1)
    assert (measured["answered503"], measured["unanswered"], measured["placed"]) == (1, 1, 2)
    assert measured["wholeAfterSeconds"] == 2.0


def test_missed_and_repeated_events_are_found() -> None:
    reader = StreamReader("http://127.0.0.1:1", {"customer": 5, "token": "none"})
    reader.started_after, reader.ids = "b", ["c", "d"]
    assert list(missed([reader], {5: ["a", "b", "c", "d"]})) == []
    reader.ids = ["c", "c", "d"]
    assert list(missed([reader], {5: ["a", "b", "c", "d"]}))
    reader.ids = ["d"]
    assert list(missed([reader], {5: ["a", "b", "c", "d"]}))
