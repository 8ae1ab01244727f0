"""`python -m benchmarks.shards`: simulates customers sharded over several databases: load, growth and moving data.

A customer hashes to one of BUCKETS buckets, and a map assigns each bucket to a database. A database is added by moving
whole buckets, and the hash never changes. Nothing is started; the figures of a database come from the benchmark.
"""

from __future__ import annotations

import argparse
import random
import zlib
from dataclasses import dataclass

BUCKETS = 4096
SESSION_SECONDS = 6.5 * 3600
PEAK = 12.0
"""The busiest second of a trading day, just after the opening bell, relative to the average second."""
TRADES_A_SECOND_MAX = 850.0
"""Throughput of one database on two cores with big tables (benchmarks/README.md)."""
HEADROOM = 0.5
"""The fraction of a database's throughput to plan for."""
WAL_BYTES_A_TRADE = 6_900
DISK_BYTES_A_TRADE = 2_200


def bucket_of(customer_id: int) -> int:
    """Return a customer's bucket, which never changes."""
    return zlib.crc32(f"bucket {customer_id}".encode()) % BUCKETS


def spread(shards: int) -> list[int]:
    """Return an even map from bucket to database."""
    return [bucket % shards for bucket in range(BUCKETS)]


def grow(map_: list[int], shards: int) -> list[int]:
    """Return a map for more databases that moves as few buckets as possible, and only to the new ones."""
    grown = list(map_)
    held: dict[int, list[int]] = {shard: [] for shard in range(shards)}
    for bucket, shard in enumerate(grown):
        held[shard].append(bucket)
    while True:
        fullest = max(held, key=lambda shard: len(held[shard]))
        smallest = min(held, key=lambda shard: len(held[shard]))
        if len(held[fullest]) - len(held[smallest]) <= 1:
            return grown
        bucket = held[fullest].pop()
        held[smallest].append(bucket)
        grown[bucket] = smallest


@dataclass(frozen=True)
class Plan:
    """The capacity that a number of trades per day requires."""

    trades_a_day: int
    per_second: float
    peak_per_second: float
    shards: int
    wal_gigabytes_a_day: float
    disk_terabytes_a_year: float


def plan(trades_a_day: int) -> Plan:
    """Return the capacity for this many trades per day, at the peak and with headroom."""
    per_second = trades_a_day / SESSION_SECONDS
    peak = per_second * PEAK
    return Plan(
        trades_a_day,
        per_second,
        peak,
        max(1, -int(-peak // (TRADES_A_SECOND_MAX * HEADROOM))),
        trades_a_day * WAL_BYTES_A_TRADE / 1e9,
        trades_a_day * DISK_BYTES_A_TRADE * 252 / 1e12,
    )


def skew(customers: int, shards: int, seed: int = 7) -> float:
    """Return the load of the busiest database relative to the average, when a few customers trade a lot.

    Trades per customer follow a Pareto distribution (index 1.2), capped by the limit on orders per minute.
    """
    rng = random.Random(seed)
    map_, load = spread(shards), [0.0] * shards
    for customer in range(customers):
        load[map_[bucket_of(customer)]] += min(rng.paretovariate(1.2), 50_000.0)
    return max(load) / (sum(load) / shards)


def move_seconds(trades: int, trades_a_second: float, copied_a_second: float = 20_000.0) -> tuple[float, float]:
    """Return how long moving a bucket takes in the background, and how long its customers get 503, in seconds.

    The bucket is copied while its customers trade; then new rows are copied, repeatedly. Once the remainder takes less
    than a quarter of a second, trading is halted for these customers, the remainder is copied, and the map is updated.
    """
    backlog, background = float(trades), 0.0
    while backlog / copied_a_second > 0.25:
        seconds = backlog / copied_a_second
        background, backlog = background + seconds, trades_a_second * seconds
    return background, backlog / copied_a_second + 0.25


def main() -> int:
    """Print the capacity that growth requires; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shards", description=__doc__.split("\n")[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    customers = parser.parse_args().customers
    print("trades a day   average/s    peak/s  databases   WAL GB/day  disk TB/year   busiest/average")
    for trades in (100_000, 1_000_000, 5_000_000, 10_000_000, 30_000_000, 100_000_000):
        capacity = plan(trades)
        print(
            f"{trades:12,} {capacity.per_second:11,.1f} {capacity.peak_per_second:9,.0f} {capacity.shards:10} "
            f"{capacity.wal_gigabytes_a_day:12,.1f} {capacity.disk_terabytes_a_year:13,.2f} "
            f"{skew(customers, capacity.shards):17.2f}"
        )
    before = spread(4)
    after = grow(before, 5)
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    print(f"\nfrom 4 databases to 5: {moved} of {BUCKETS} buckets move ({moved / BUCKETS:.1%}; minimum: 20 %)")
    background, refused = move_seconds(250_000, 0.1)
    print(f"a bucket of 250,000 trades: copied in {background:.0f} s in the background, refused for {refused:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
