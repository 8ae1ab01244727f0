"""Medians of runs, goals, and the tables that present them.

`python -m benchmarks.results result.json…` writes results into the table of benchmarks/README.md. Several files are
merged, so that a long benchmark can be run in parts; for a stage in more than one file, the first file is used.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost import cost_rows, disk_rows


def medians(runs: Sequence[Any]) -> Any:
    """Merge results of the same structure: the median of each number, and the first of every other value."""
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
    # name, path in the result or a quotient of two, relation, goal
    ("settled / bare limit", "ratio", ">=", 0.75),
    ("times the plain peer", "peers.plain.times", ">=", 10),
    ("times procrastinate with a lock per customer", "peers.procrastinate.times", ">=", 5),
    ("CPU a trade at 100 trades/s, ms", "latency.100.cpuMs.total", "<=", 4),
    ("statements a trade at 100 trades/s", "footprint.statements", "<=", 10),
    ("settled with 2 `lanes` / 1", "lanes.2.tradesPerSecond / lanes.1.tradesPerSecond", ">=", 0.95),
    ("settled with 4 `lanes` / 1", "lanes.4.tradesPerSecond / lanes.1.tradesPerSecond", ">=", 0.95),
    ("CPU a trade with 4 `lanes` / 1", "lanes.4.cpuMs.total / lanes.1.cpuMs.total", "<=", 1.10),
    ("placing p99 at 300 trades/s, ms", "latency.300.placing.p99", "<", 50),
    ("placed to final p99 at 100 trades/s, ms", "latency.100.final.p99", "<", 200),
    ("placed to final p99 at 300 trades/s, ms", "latency.300.final.p99", "<", 200),
    ("a single trade final, p50, ms", "lone.final.p50", "<", 50),
    ("throughput with 1 s at the exchange / instant", "slow.ofInstant", ">", 0.90),
    ("cost with big tables / small ones, at full load", "big.costRatio", "<=", 1.10),
    ("cost with big tables / small ones, at 100 trades/s", "big.costRatioAt100", "<=", 1.10),
    ("lots of 1,000,000 old trades built, s", "lots.secondsOfAMillion", "<", 300),
    ("the opening bell: placing p99 meanwhile, ms", "bell.placingMeanwhile.p99", "<", 100),
    ("slowest page beside trades, p99, ms", "readers.slowestP99", "<", 300),
    ("trades' p99 to final beside readers / alone", "readers.finalP99Ratio", "<=", 1.10),
    ("placing p99 beside a proof of changes / alone", "proof.placingP99Ratio", "<=", 1.10),
    ("bytes a trade on disk", "disk.bytes", "<=", 1200),
    ("start of web, s", "start.webSeconds", "<", 2),
    ("start of lanes, s", "start.lanesSeconds", "<", 2),
    ("largest web, MB", "settled.memory.web.largestMb", "<", 150),
    ("largest lanes, MB", "settled.memory.lanes.largestMb", "<", 150),
    ("largest sweep, MB", "settled.memory.sweep.largestMb", "<", 150),
)


def goals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each goal that was measured, with the measurement."""
    rows = []
    for name, path, relation, goal in GOALS:
        values = [_at(result, part) for part in path.split(" / ")]
        if None in values:
            continue
        measured = values[0] if len(values) == 1 else round(values[0] / values[1], 3)
        met = {">=": measured >= goal, ">": measured > goal, "<=": measured <= goal, "<": measured < goal}[relation]
        rows.append({"goal": name, "wanted": f"{relation} {goal:g}", "measured": measured, "met": met})
    return rows


def _at(result: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(result, list):  # the latency stages, by rate
            result = next((row for row in result if f"{row['rate']:g}" == part), None)
        elif isinstance(result, dict):
            result = result.get(part)
        if result is None:
            return None
    return result


def table(result: dict[str, Any]) -> Iterator[str]:
    """Yield the result as lines of text."""
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
    if bell := result.get("bell"):
        yield (
            f"the opening bell: {bell['queued']:,} queued trades of {bell['customers']:,} customers in "
            f"{bell['seconds']:.0f} s, {bell['tradesPerSecond']:.0f} trades/s, "
            f"placing meanwhile p99 {bell['placingMeanwhile']['p99']} ms"
        )
    if lots := result.get("lots"):
        yield (
            f"the lots of {lots['trades']:,} old trades: built in {lots['seconds']:.0f} s, with one interruption, "
            f"proved in {lots['audit']['seconds']:.0f} s"
        )
    if "disk" in result:
        yield from disk_rows(result)
    yield from _figures(result)


def _figures(result: dict[str, Any]) -> Iterator[str]:
    if "ratio" in result:
        yield f"settled / bare limit                {result['ratio']:>8.2f}"
    if settled := result.get("settled"):
        per_trade = settled["each"]
        yield (
            f"a trade: {per_trade['commits']} commits, {per_trade['walFlushes']} flushes, "
            f"{per_trade['walBytes']} bytes of WAL"
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
        yield f"a single trade: placed in {lone['placing']['p50']} ms, final {lone['final']['p50']} ms after (p50)"
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
        if any(
            isinstance(per_trade, dict) and per_trade.get("othersPercent", 0) > OTHERS_PERCENT_MAX
            for per_trade in stages
        ):
            yield f"disturbed: other processes took more than {OTHERS_PERCENT_MAX} % of the machine during {name}"


OTHERS_PERCENT_MAX = 5


def _cpu(stage: dict[str, Any]) -> str:
    parts = {kind: spent for kind, spent in stage["cpuMs"].items() if kind != "total" and spent >= 0.005}
    per_trade = ", ".join(f"{kind} {spent:.2f}" for kind, spent in sorted(parts.items(), key=lambda part: -part[1]))
    return f"CPU ms a trade {stage['cpuMs'].get('total', 0):.2f} ({per_trade})"


# -- the table of the README

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def read(path: Path) -> dict[str, Any]:
    """Return the result in a file: its last line that is a JSON object, or its whole text. Raises ValueError."""
    text = path.read_text()
    for part in [*reversed(text.splitlines()), text]:
        if part.lstrip().startswith("{"):
            try:
                return dict(json.loads(part))
            except ValueError:
                continue
    raise ValueError(f"{path} has no JSON object")


def merged_stages(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge results with different stages; `parts` describes each part."""
    merged: dict[str, Any] = {}
    for result in results:
        merged = {**result, **merged}
    parts = [
        f"{', '.join(part['settings']['only']) or 'all'}: {part['settings']['runs']} × {part['settings']['seconds']} s"
        for part in results
    ]
    return {**merged, "ok": all(result.get("ok") for result in results), "goals": goals(merged), "parts": parts}


def markdown(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a Markdown table, with a description of the machine."""
    machine, settings = result["machine"], result["settings"]
    yield (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memoryGb']} GB, {machine['system']}, Python "
        f"{machine['python']}, PostgreSQL {machine.get('postgresql', '?')}; commit {machine['commit']}, "
        f"{machine['at']}; medians of {settings['runs']} runs of {settings['seconds']} s"
        + (f" ({'; '.join(result['parts'])})." if len(result.get("parts", [])) > 1 else ".")
    )
    yield from ("", "| what | figure | CPU ms a trade |", "| --- | --- | --- |")
    for title, stage in _stages(result):
        cpu = stage["cpuMs"].get("total", "")
        yield f"| {title} | {stage['tradesPerSecond']:,.0f} trades/s | {cpu} |"
    for row in result.get("latency", []):
        placing, final = row["placing"], row["final"]
        yield (
            f"| at {row['rate']:g} trades/s: placing, then placed to final (p50 / p99 / p99.9) | "
            f"{placing['p50']} / {placing['p99']} / {placing['p99.9']} ms, "
            f"{final['p50']} / {final['p99']} / {final['p99.9']} ms | {row['cpuMs'].get('total', '')} |"
        )
    if settled := result.get("settled"):
        per_trade = settled["each"]
        statements = f", {result['footprint']['statements']} statements" if "footprint" in result else ""
        yield f"| a trade | {per_trade['commits']} commits{statements}, {per_trade['walBytes']:,.0f} bytes of WAL | |"
    if big := result.get("big"):
        yield (
            f"| {big['finishedTrades']:,} finished trades: loaded, on disk, proved | {big['loadedSeconds']:.0f} s, "
            f"{big['allMb'] / 1000:.1f} GB, {big['audit']['seconds']:.0f} s | |"
        )
    if soak := result.get("soak"):
        grown = ", ".join(f"{kind} {soak['growthMb'][kind]:+g}" for kind in ("web", "lanes", "sweep", "stream"))
        yield f"| {soak['minutes']} minutes at {soak['rate']:g} trades/s, MB since the tenth: {grown} | | |"
    if proof := result.get("proof"):
        yield (
            f"| {proof['first']['trades']:,} trades proved in full; then the changes of a day of "
            f"{proof['full']['trades'] - proof['first']['trades']:,} | {proof['full']['seconds']:g} s; "
            f"{proof['changes']['seconds']:g} s, placing p99 {proof['placingP99Ratio']:g} times | |"
        )
    if reading := result.get("readers"):
        pages = ", ".join(f"{title} {page['p50']} / {page['p99']}" for title, page in reading["pages"].items())
        yield (
            f"| {reading['readers']} readers beside {reading['beside']['rate']:g} trades/s, ms (p50 / p99): {pages} | "
            f"{reading['pagesPerSecond']:g} pages/s, trades' p99 {reading['finalP99Ratio']:g} times | |"
        )
    yield from cost_rows(result)
    yield from disk_rows(result)
    yield from ("", "| goal | wanted | measured | |", "| --- | --- | --- | --- |")
    for goal in result["goals"]:
        yield f"| {goal['goal']} | {goal['wanted']} | {goal['measured']} | {'met' if goal['met'] else '**not met**'} |"


def _stages(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the title and the result of every stage that was measured in trades per second."""
    big = result.get("big", {})
    stages = [
        ("the bare limit (pgbench, 32 clients)", result.get("limit")),
        ("placed at the door", result.get("placed")),
        ("settled, end to end", result.get("settled")),
        ("settled with 1 s at the exchange", result.get("slow")),
        *((f"settled with {count} `lanes`", stage) for count, stage in result.get("lanes", {}).items()),
        ("settled with big tables", big.get("settled")),
        ("settled with small tables, for comparison", big.get("small", {}).get("settled")),
        *((f"settled by the peer {name}", stage) for name, stage in result.get("peers", {}).items()),
    ]
    return ((title, stage) for title, stage in stages if stage and "tradesPerSecond" in stage)


def main(paths: Sequence[str]) -> int:
    """Write the results in these files into the README's table; return 1 if a file has no valid result."""
    text = README.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    try:
        result = merged_stages([read(Path(path)) for path in paths])
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not (begin and end and result.get("ok")):
        print(f"error: {' '.join(paths)} is not a valid result, or {README} has no table for it", file=sys.stderr)
        return 1
    README.write_text("\n".join([before + begin, *markdown(result), end + after]))
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
