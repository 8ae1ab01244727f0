"""The stages of the benchmark; each function returns its part of the result."""

from __future__ import annotations

import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.load import LoadFailed, LoadTarget, Period, latency
from benchmarks.peer import NotInstalled, Peer
from benchmarks.population import TICKERS
from benchmarks.settings import Settings
from benchmarks.site import Site
from local import ports
from local.launcher import MARK
from local.orphans import end, processes_with_mark

PLACED_SECONDS_MAX = 20
"""Kept short, because the trades that pile up must be settled afterwards, which takes longer than placing them."""
SLOW_SECONDS = 1.0
"""Execution time of the slow exchange."""
LONE_TRADES = 40
LONE_PAUSE_SECONDS = 0.4
STARTS = 5
START_SECONDS_MAX = 60.0
SETTLED_SPREAD_MAX = 1.5
"""The load isn't steady if open trades exceed the backlog by this factor at the end."""
STATEMENTS_SHOWN = 40
SOAK_SAMPLE_SECONDS = 60
SOAK_RATE = 100.0
ROOT = Path(__file__).parents[1]


def settled(
    site: LoadTarget, settings: Settings, backlog: int | None = None, warm_up: float | None = None
) -> dict[str, Any]:
    """Measure the maximum throughput end to end: trades are placed as fast as others become final."""
    site.calm_down()
    backlog = backlog or settings.backlog
    period = load.apply(
        site, settings.seconds, warm_up or settings.warm_up_seconds, settings.connections, backlog_max=backlog
    )
    before, after = period.open_trades
    if after > max(SETTLED_SPREAD_MAX * backlog, before + backlog):
        raise LoadFailed(f"open trades grew from {before} to {after}: the load was not steady")
    return {
        **_costs(period),
        "placing": latency(period.placing_ms()),
        "final": latency(period.final_ms()),
        "backlog": backlog,
        "openAtStart": before,
        "openAtEnd": after,
        "leastInASecond": min(period.settled_by_second(), default=0),
        "mostInASecond": max(period.settled_by_second(), default=0),
        "memory": site.memory(),
    }


def placed(site: Site, settings: Settings) -> dict[str, Any]:
    """Measure how fast trades are placed while none are settled, and then how fast the backlog is settled."""
    site.calm_down()
    resume = site.freeze({"lanes", "sweep"})
    try:
        period = load.apply(
            site,
            min(settings.seconds, PLACED_SECONDS_MAX),
            min(settings.warm_up_seconds, 3),
            settings.connections,
            wait_for_finals=False,
        )
    finally:
        resume()
    open_trades = site.database.open_trades()
    drained_seconds = site.drain()
    return {
        "tradesPerSecond": round(period.placed / period.seconds, 1),
        "placing": latency(period.placing_ms()),
        "cpuMs": period.spent.milliseconds_each(period.placed),
        **period.spent.disturbance(),
        "each": period.counters[1].each(period.counters[0], period.placed),
        "drained": {"trades": open_trades, "perSecond": round(open_trades / max(drained_seconds, 0.1), 1)},
    }


def latencies(site: Site, settings: Settings, rate: float, seed: int) -> dict[str, Any]:
    """Measure latency at a fixed rate of trades."""
    site.calm_down()
    period = load.apply(
        site, settings.seconds, settings.warm_up_seconds, max(settings.connections, 64), rate=rate, seed=seed
    )
    return {
        "rate": rate,
        **_costs(period),
        "placing": latency(period.placing_ms()),
        "final": latency(period.final_ms()),
        "finalFromDoor": latency(period.final_ms(from_door=True)),
        "openAtEnd": period.open_trades[1],
    }


def lone(site: Site, settings: Settings) -> dict[str, Any]:
    """Measure latency of single trades on an idle system."""
    trades = min(LONE_TRADES, 10 * settings.seconds)
    period = load.apply(site, trades * LONE_PAUSE_SECONDS, 1, connections=1, rate=1 / LONE_PAUSE_SECONDS, even=True)
    return {
        "trades": len(period.final_ms()),
        "placing": latency(period.placing_ms()),
        "final": latency(period.final_ms()),
        "finalFromDoor": latency(period.final_ms(from_door=True)),
    }


def slow(site: Site, settings: Settings, instant_per_second: float) -> dict[str, Any]:
    """Run `settled` with a slow exchange, and enough additional open trades to cover its execution time."""
    site.exchange({"latencyMs": int(1000 * SLOW_SECONDS)})
    try:
        in_flight = int(1.2 * instant_per_second * SLOW_SECONDS)
        measured = settled(
            site, settings, settings.backlog + in_flight, warm_up=settings.warm_up_seconds + 2 * SLOW_SECONDS
        )
    finally:
        site.exchange(None)
    return {**measured, "ofInstant": round(measured["tradesPerSecond"] / instant_per_second, 3)}


def peer(name: str, site: Site, settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Run `settled` on a peer and audit its books; or return why it could not be installed."""
    try:
        with Peer(name, site, say) as other:
            return {**settled(other, settings), "audit": other.audit()}
    except NotInstalled as error:
        return {"notInstalled": str(error)}


def costs(site: Site, settings: Settings, number: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the cost of trades at maximum throughput and at 100 per second."""
    row = {"settled": settled(site, settings), "at100": latencies(site, settings, 100.0, seed=number)}
    say(
        f"{site.customers:,} customers: "
        + ", ".join(f"{name} {side['tradesPerSecond']}/s {side['cpuMs']['total']} ms" for name, side in row.items())
    )
    return row


def disk(site: Site) -> dict[str, Any]:
    """Return the bytes that a finished trade takes in each table and each index, without those below one byte."""
    trades = max(1, site.customers * site.trades_each)
    bytes_a_trade: dict[str, dict[str, float]] = {}
    for table, relation, size in site.database.relations():
        if size >= trades:
            bytes_a_trade.setdefault(table, {})[relation] = round(size / trades, 1)
    return {"bytesATrade": bytes_a_trade}


def tables(site: Site) -> dict[str, Any]:
    """Return the sizes of the tables, and an audit of the books."""
    sizes = {name: round(size / 1e6, 1) for name, size in site.database.sizes()}
    return {
        "customers": site.customers,
        "finishedTrades": site.customers * site.trades_each,
        "loadedSeconds": round(site.loaded_seconds, 1),
        "tablesMb": sizes,
        "allMb": round(sum(sizes.values())),
        **disk(site),
        "audit": site.audit(),
    }


def footprint(site: Site, settings: Settings) -> dict[str, Any]:
    """Count SQL statements per trade; a separate stage, because counting slows the server down a little."""
    with site.database.counting_statements() as statements:
        period = load.apply(site, min(settings.seconds, 20), settings.warm_up_seconds, settings.connections, rate=100.0)
    trades = len(period.answers)
    transactions = re.compile(r"\s*(begin|commit|rollback|set|savepoint|release|start)\b", re.IGNORECASE)
    checks = re.compile(r"SELECT 1 FROM ONLY .* FOR KEY SHARE OF x", re.DOTALL)  # PostgreSQL's own, at the COMMIT

    def calls_a_trade(rows: list[tuple[int, float, int, str]]) -> float:
        return round(sum(calls for calls, *_ in rows) / trades, 2)

    control = [row for row in statements if transactions.match(row[3])]
    foreign_keys = [row for row in statements if checks.match(row[3])]
    return {
        "rate": 100.0,
        "trades": trades,
        "statements": calls_a_trade([row for row in statements if row not in control and row not in foreign_keys]),
        "transactionControl": calls_a_trade(control),
        "foreignKeyChecks": calls_a_trade(foreign_keys),
        "top": [
            {
                "calls": round(calls / trades, 3),
                "msEach": round(total_ms / calls, 3),
                "rows": round(rows / calls, 1),
                "statement": " ".join(text.split())[:160],
            }
            for calls, total_ms, rows, text in statements[:STATEMENTS_SHOWN]
        ],
    }


def start(site: Site) -> dict[str, Any]:
    """Measure how long `web` and `lanes` take to start.

    `web` is up once it answers /readyz, and `lanes` once a trade that was waiting is in progress. The site runs one
    `web`, and no lanes or sweep that could take the trade.
    """
    commands = dict(re.findall(r"^(\w+):\s*(.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
    web, lanes = [], []
    for number in range(STARTS):
        port = ports.choose()
        web.append(_time_start(site, commands["web"], {"PORT": str(port)}, lambda port=port: _is_ready(port)))  # type: ignore[misc]
        _place_one(site, number)
        waiting = site.database.open_trades()
        placed_before = _count(site, "PLACED")
        lanes.append(
            _time_start(site, commands["lanes"], {}, lambda before=placed_before: _count(site, "PLACED") < before)  # type: ignore[misc]
        )
        if not waiting:
            raise LoadFailed("the trade was settled without lanes")
    return {
        "webSeconds": round(statistics.median(web), 2),
        "lanesSeconds": round(statistics.median(lanes), 2),
        "webAll": [round(seconds, 2) for seconds in web],
        "lanesAll": [round(seconds, 2) for seconds in lanes],
    }


def soak(site: Site, settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the memory of each kind of process, minute by minute, under a constant load."""
    samples: list[dict[str, dict[str, float]]] = []
    rounds = max(2, settings.soak_seconds // SOAK_SAMPLE_SECONDS)
    for number in range(rounds):
        period = load.apply(
            site, SOAK_SAMPLE_SECONDS - 2, 1, settings.connections, rate=SOAK_RATE, seed=number, wait_for_finals=False
        )
        samples.append(site.memory())
        sizes = {kind: size["largestMb"] for kind, size in samples[-1].items()}
        say(f"soak, minute {number + 1} of {rounds}: placing {latency(period.placing_ms())}, MB {sizes}")
    site.drain()
    kinds = sorted(samples[0])
    by_kind = {kind: [sample[kind]["largestMb"] for sample in samples if kind in sample] for kind in kinds}
    return {
        "minutes": rounds,
        "rate": SOAK_RATE,
        "largestMb": by_kind,
        "growthMb": {kind: round(sizes[-1] - sizes[len(sizes) // 3], 1) for kind, sizes in by_kind.items()},
    }


def _costs(period: Period) -> dict[str, Any]:
    if not period.settled:
        raise LoadFailed("nothing was settled")
    statuses = period.statuses()
    if statuses.get("FILLED", 0) < 0.99 * period.settled:
        raise LoadFailed(f"nearly all trades should be FILLED: {statuses}")
    return {
        "tradesPerSecond": round(period.settled / period.seconds, 1),
        "placedPerSecond": round(period.placed / period.seconds, 1),
        "cpuMs": period.spent.milliseconds_each(period.settled),
        **period.spent.disturbance(),
        "each": period.counters[1].each(period.counters[0], period.settled),
    }


def _time_start(site: Site, command: str, environment: dict[str, str], is_up: Callable[[], bool]) -> float:
    """Start a process of the Procfile, return the seconds until it is up, and stop it."""
    mark = f"{site.brokerage.data_dir}#start"
    variables = {**os.environ, **site.environment, "PROCESS_NAME": "start.1", MARK: mark, **environment}
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])
    for name, value in environment.items():
        command = command.replace(f"${name}", shlex.quote(value))
    log = site.folder / "start.log"
    with open(log, "wb") as file:
        began = time.monotonic()
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"], cwd=ROOT, env=variables, stdout=file, stderr=file
        )
    try:
        while not is_up():
            if process.poll() is not None or time.monotonic() - began > START_SECONDS_MAX:
                raise LoadFailed(f"{command} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - began
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        end(processes_with_mark(mark))


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _place_one(site: Site, number: int) -> None:
    token = site.population.tokens()[number]
    request = urllib.request.Request(  # noqa: S310 (our own address)
        f"{site.brokerage.url}/api/v1/trades",
        data=f'{{"stockTicker": "{TICKERS[0]}", "type": "BUY", "quantity": 1}}'.encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


def _count(site: Site, status: str) -> int:
    row = site.database.connection.execute("SELECT count(*) FROM trades_trade WHERE status = %s", [status]).fetchone()
    return int(row[0]) if row else 0
