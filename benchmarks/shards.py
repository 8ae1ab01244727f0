"""`python -m benchmarks.shards`: customers hashed over several databases, simulated: load, growth, and a move.

A customer hashes to one of BUCKETS buckets, and a map says which database holds a bucket. So a database is added by
moving whole buckets, and the hash never changes. Nothing is started; a database's figures come from the benchmark.
"""

from __future__ import annotations

import argparse
import random
import zlib
from dataclasses import dataclass

BUCKETS = 4096
SESSION_SECONDS = 6.5 * 3600
PEAK = 12.0
"""The busiest second of a trading day against the average one: the first minutes after the opening bell."""
TRADES_A_SECOND_MAX = 850.0
"""What one database of two cores settled with big tables (benchmarks/README.md)."""
HEADROOM = 0.5
"""No database is planned for more than this part of what it can do."""
WAL_BYTES_A_TRADE = 6_900
DISK_BYTES_A_TRADE = 2_100


def bucket_of(customer_id: int) -> int:
    """Return a customer's bucket: the same in every process, for ever."""
    return zlib.crc32(f"bucket {customer_id}".encode()) % BUCKETS


def spread(shards: int) -> list[int]:
    """Return a map from bucket to database, even to one bucket."""
    return [bucket % shards for bucket in range(BUCKETS)]


def grow(map_: list[int], shards: int) -> list[int]:
    """Return a map for more databases that moves as few buckets as can be, and only onto the new ones."""
    found = list(map_)
    held: dict[int, list[int]] = {shard: [] for shard in range(shards)}
    for bucket, shard in enumerate(found):
        held[shard].append(bucket)
    while True:
        fullest = max(held, key=lambda shard: len(held[shard]))
        emptiest = min(held, key=lambda shard: len(held[shard]))
        if len(held[fullest]) - len(held[emptiest]) <= 1:
            return found
        bucket = held[fullest].pop()
        held[emptiest].append(bucket)
        found[bucket] = emptiest


@dataclass(frozen=True)
class Plan:
    """What a number of trades a day asks for."""

    trades_a_day: int
    per_second: float
    peak_per_second: float
    shards: int
    wal_gigabytes_a_day: float
    disk_terabytes_a_year: float


def plan(trades_a_day: int) -> Plan:
    """Return how many databases carry so many trades a day at their peak, with headroom."""
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
    """Return the load of the busiest database against the average, where a few customers trade very much.

    Trades a customer follow a Pareto distribution (index 1.2), cut at the limit of orders a minute.
    """
    dice = random.Random(seed)
    map_, load = spread(shards), [0.0] * shards
    for customer in range(customers):
        load[map_[bucket_of(customer)]] += min(dice.paretovariate(1.2), 50_000.0)
    return max(load) / (sum(load) / shards)


def move_seconds(trades: int, trades_a_second: float, copied_a_second: float = 20_000.0) -> tuple[float, float]:
    """Return the seconds that moving a bucket takes in the background, and those in which its customers get 503.

    The bucket is copied while it trades, then what came meanwhile, again and again, each time less. Once the rest takes
    under a quarter of a second, its customers' lanes are halted, the rest is copied and the map is switched.
    """
    behind, background = float(trades), 0.0
    while behind / copied_a_second > 0.25:
        seconds = behind / copied_a_second
        background, behind = background + seconds, trades_a_second * seconds
    return background, behind / copied_a_second + 0.25


def main() -> int:
    """Print what growth asks for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shards", description=__doc__.split("\n")[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    customers = parser.parse_args().customers
    print("trades a day   average/s    peak/s  databases   WAL GB/day  disk TB/year   busiest/average")
    for trades in (100_000, 1_000_000, 5_000_000, 10_000_000, 30_000_000, 100_000_000):
        found = plan(trades)
        print(
            f"{trades:12,} {found.per_second:11,.1f} {found.peak_per_second:9,.0f} {found.shards:10} "
            f"{found.wal_gigabytes_a_day:12,.1f} {found.disk_terabytes_a_year:13,.2f} "
            f"{skew(customers, found.shards):17.2f}"
        )
    before = spread(4)
    after = grow(before, 5)
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    print(
        f"\nfrom 4 databases to 5: {moved} of {BUCKETS} buckets move ({moved / BUCKETS:.1%}; the least there is: 20 %)"
    )
    background, refused = move_seconds(250_000, 0.1)
    print(f"a bucket of 250,000 trades: copied in {background:.0f} s in the background, refused for {refused:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
