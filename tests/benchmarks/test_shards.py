"""Sharding: the properties of the simulation's bucket map."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.shards import BUCKETS, bucket_of, grow, move_seconds, plan, spread


def test_a_customers_bucket_never_changes() -> None:
    assert [bucket_of(customer) for customer in (1, 2, 3, 1_000_000)] == [4014, 3604, 3714, 1864]
    assert len({bucket_of(customer) for customer in range(100_000)}) == BUCKETS


@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 5), (5, 8), (16, 17)])
def test_growth_moves_the_fewest_buckets_and_stays_even(before: int, after: int) -> None:
    old = spread(before)
    new = grow(old, after)
    moved = [target for source, target in zip(old, new, strict=True) if source != target]
    assert set(moved) == set(range(before, after))
    assert len(moved) <= BUCKETS * (after - before) / after + after
    counts = Counter(new).values()
    assert max(counts) - min(counts) <= 2


def test_a_hundred_million_trades_a_day_need_many_databases_and_a_million_few() -> None:
    assert plan(1_000_000).shards <= 2
    assert plan(100_000_000).shards > 50


def test_customers_are_refused_for_less_than_a_second_while_their_bucket_moves() -> None:
    copy_seconds, refused_seconds = move_seconds(1_000_000, 5.0)
    assert copy_seconds > 10
    assert refused_seconds < 1
