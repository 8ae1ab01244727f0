"""Medians of runs, the goals, and how a person reads them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any


def medians(runs: Sequence[Any]) -> Any:
    """One result out of several of the same shape: medians of numbers, by their place; of all else, the first."""
    first = runs[0]
    if isinstance(first, dict):
        names = dict.fromkeys(name for run in runs for name in run)
        return {name: medians([run[name] for run in runs if name in run]) for name in names}
    if isinstance(first, list):
        shortest = min(map(len, runs))
        return [medians([run[index] for run in runs]) for index in range(shortest)]
    if isinstance(first, bool) or not isinstance(first, int | float):
        return first
    numbers = [run for run in runs if isinstance(run, int | float)]
    return round(statistics.median(numbers), 3)


GOALS = (
    # name, where in the result, and whether more or less than the goal is wanted
    ("settled / bare limit", "ratio", ">=", 0.50),
    ("times the plain way", "peers.plain.times", ">=", 10),
    ("times procrastinate with a lock a customer", "peers.procrastinate.times", ">=", 5),
    ("placing p99 at 300 trades/s, ms", "latency.300.placing.p99", "<", 50),
    ("placed to final p99 at 100 trades/s, ms", "latency.100.final.p99", "<", 200),
    ("placed to final p99 at 300 trades/s, ms", "latency.300.final.p99", "<", 200),
    ("a lone trade final, p50, ms", "lone.final.p50", "<", 50),
    ("throughput with 1 s at the exchange / instant", "slow.ofInstant", ">", 0.90),
    ("cost with big tables / small ones", "big.costRatio", "<=", 1.10),
    ("start of web, s", "start.webSeconds", "<", 2),
    ("start of lanes, s", "start.lanesSeconds", "<", 2),
    ("largest web, MB", "settled.memory.web.largestMb", "<", 150),
    ("largest lanes, MB", "settled.memory.lanes.largestMb", "<", 150),
    ("largest sweep, MB", "settled.memory.sweep.largestMb", "<", 150),
)


def goals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each goal that something was measured for, with what was."""
    found = []
    for name, path, relation, goal in GOALS:
        measured = _at(result, path)
        if measured is None:
            continue
        met = {">=": measured >= goal, ">": measured > goal, "<=": measured <= goal, "<": measured < goal}[relation]
        found.append({"goal": name, "wanted": f"{relation} {goal:g}", "measured": measured, "met": met})
    return found


def _at(result: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(result, list):  # of the latency stages, by their rate
            result = next((row for row in result if f"{row['rate']:g}" == part), None)
        elif isinstance(result, dict):
            result = result.get(part)
        if result is None:
            return None
    return result


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people, line by line."""
    if limit := result.get("limit"):
        yield f"bare limit (pgbench, 32 clients)    {limit['tradesPerSecond']:>8.0f} trades/s   {_cpu(limit)}"
    if placed := result.get("placed"):
        yield f"placed at the door                  {placed['tradesPerSecond']:>8.0f} trades/s   {_cpu(placed)}"
    for name, title in (("settled", "settled, end to end"), ("slow", "the same, 1 s at the exchange")):
        if stage := result.get(name):
            yield f"{title:<36}{stage['tradesPerSecond']:>8.0f} trades/s   {_cpu(stage)}"
    for count, stage in result.get("lanes", {}).items():
        yield f"{'settled with lanes=' + count:<36}{stage['tradesPerSecond']:>8.0f} trades/s   {_cpu(stage)}"
    for name, stage in result.get("peers", {}).items():
        if "cpuMs" in stage:
            yield f"{name:<36}{stage['tradesPerSecond']:>8.0f} trades/s   {_cpu(stage)}"
        else:
            yield f"{name:<36}not measured: {stage['notInstalled']}"
    if big := result.get("big"):
        for title, stage in (("big tables", big), ("small tables, in the same run", big["small"])):
            yield f"{title:<36}{stage['settled']['tradesPerSecond']:>8.0f} trades/s   {_cpu(stage['settled'])}"
        yield (
            f"big tables: {big['customers']:,} customers, {big['finishedTrades']:,} finished trades, "
            f"{big['allMb'] / 1000:.1f} GB, loaded in {big['loadedSeconds']:.0f} s, "
            f"proved in {big['audit']['seconds']:.0f} s"
        )
    if "ratio" in result:
        yield f"settled / bare limit                {result['ratio']:>8.2f}"
    if settled := result.get("settled"):
        each = settled["each"]
        yield (
            f"a trade: {each['commits']} commits, {each['walFlushes']} flushes, {each['walBytes']} bytes of WAL"
            + (f", {result['footprint']['statements']} statements" if "footprint" in result else "")
        )
    rows = [*result.get("latency", [])]
    if settled:
        rows.append({**settled, "rate": settled["tradesPerSecond"], "title": "most"})
    if rows:
        columns = f"{'p99':>7} {'p99.9':>7}"
        yield f"{'trades/s':>10}  {'placing, ms: p50':>17} {columns}  {'to final: p50':>14} {columns}"
    for row in rows:
        placing, final = row["placing"], row["final"]
        rate = f"{row.get('title', '')} {row['rate']:.0f}"
        yield (
            f"{rate:>10}  {placing['p50']:>17.1f} {placing['p99']:>7.1f} {placing['p99.9']:>7.1f}"
            f"  {final['p50']:>14.1f} {final['p99']:>7.1f} {final['p99.9']:>7.1f}"
        )
    if lone := result.get("lone"):
        yield f"a lone trade: placed in {lone['placing']['p50']} ms, final {lone['final']['p50']} ms after (p50)"
    if start := result.get("start"):
        yield f"start: web {start['webSeconds']} s, lanes {start['lanesSeconds']} s"
    if settled:
        yield "memory, MB (largest process): " + ", ".join(
            f"{kind} {size['largestMb']:.0f}" for kind, size in sorted(settled["memory"].items())
        )
    for goal in result.get("goals", []):
        yield f"{'met   ' if goal['met'] else 'NOT MET'} {goal['goal']}: {goal['measured']} (wanted {goal['wanted']})"
    for name, stage in result.items():
        stages = stage if isinstance(stage, list) else [stage]
        if any(isinstance(each, dict) and each.get("othersPercent", 0) > OTHERS_PERCENT_MAX for each in stages):
            yield f"disturbed: other processes took more than {OTHERS_PERCENT_MAX} % of the machine during {name}"


OTHERS_PERCENT_MAX = 5


def _cpu(stage: dict[str, Any]) -> str:
    parts = {kind: spent for kind, spent in stage["cpuMs"].items() if kind != "total" and spent >= 0.005}
    each = ", ".join(f"{kind} {spent:.2f}" for kind, spent in sorted(parts.items(), key=lambda part: -part[1]))
    return f"CPU ms a trade {stage['cpuMs'].get('total', 0):.2f} ({each})"
