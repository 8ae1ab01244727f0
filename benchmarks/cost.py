"""The cost of a million trades a day in cores, memory and disk, computed from the benchmark's own figures.

A trading day and its peak are those of `benchmarks.shards`. Machines are to be half used at the peak.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.shards import HEADROOM, PEAK, SESSION_SECONDS

TRADES_A_DAY = 1_000_000
TRADING_DAYS = 252
OF_TRADES = (
    "trades_trade",
    "trades_statuschange",
    "trades_report",
    "accounts_posting",
    "accounts_lot",
    "accounts_lotclosing",
)
"""Tables that grow with trades; the others grow with customers."""


def cost_of_a_day(result: dict[str, Any]) -> dict[str, float]:
    """Return what a million trades a day cost; only the figures for which the stages were measured."""
    cost: dict[str, float] = {}
    average = TRADES_A_DAY / SESSION_SECONDS
    if settled := result.get("settled"):
        busy = settled["cpuMs"]["total"] - settled["cpuMs"].get("generator", 0) - settled["cpuMs"].get("benchmark", 0)
        cost["coresAtThePeak"] = round(average * PEAK * busy / 1000, 2)
        cost["coresToHave"] = round(cost["coresAtThePeak"] / HEADROOM, 1)
        own = {kind: size for kind, size in settled["memory"].items() if kind not in {"generator", "benchmark"}}
        cost["memoryGb"] = round(sum(size["allMb"] for size in own.values()) / 1000, 2)
        cost["walGbADay"] = round(TRADES_A_DAY * settled["each"]["walBytes"] / 1e9, 1)
    if bytes_a_trade := disk_a_trade(result):
        cost["bytesATrade"] = bytes_a_trade
        cost["diskGbAYear"] = round(TRADES_A_DAY * TRADING_DAYS * bytes_a_trade / 1e9)
    return cost


def disk_a_trade(result: dict[str, Any]) -> float:
    """Return the bytes on disk that a trade takes with its history, report, postings, lots and indexes; 0: unknown."""
    tables = _bytes_a_trade(result)
    return round(sum(sum(parts.values()) for name, parts in tables.items() if name in OF_TRADES))


def cost_rows(result: dict[str, Any]) -> Iterator[str]:
    """Yield the README's table of the costs."""
    cost = cost_of_a_day(result)
    if not cost:
        return
    yield from ("", f"| {TRADES_A_DAY:,} trades a day take | |", "| --- | --- |")
    if "coresAtThePeak" in cost:
        peak = TRADES_A_DAY / SESSION_SECONDS * PEAK
        yield (
            f"| cores, at a peak of {peak:.0f} trades/s | {cost['coresAtThePeak']} busy, "
            f"so {cost['coresToHave']} to have them half used |"
        )
        yield f"| memory of all processes, with the database's buffers | {cost['memoryGb']} GB |"
        yield f"| WAL, to ship and to archive | {cost['walGbADay']} GB a day |"
    if "diskGbAYear" in cost:
        yield f"| disk | {cost['bytesATrade']:,.0f} bytes a trade, {cost['diskGbAYear']:,} GB a year |"


def disk_rows(result: dict[str, Any]) -> Iterator[str]:
    """Yield the README's table of the bytes that a trade takes, by table and index."""
    tables = _bytes_a_trade(result)
    of_trades = {name: parts for name, parts in tables.items() if name in OF_TRADES}
    if not of_trades:
        return
    yield from ("", "| bytes a trade | table | its indexes |", "| --- | --- | --- |")
    for name, parts in of_trades.items():
        indexes = ", ".join(f"{index} {size:.0f}" for index, size in parts.items() if index != name)
        yield f"| {name} {sum(parts.values()):.0f} | {parts.get(name, 0):.0f} | {indexes} |"


def _bytes_a_trade(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the bytes a trade by table and relation, of the largest tables that were measured."""
    for stage in ("big", "proof", "disk"):
        if found := result.get(stage, {}).get("bytesATrade"):
            return dict(found)
    return {}
