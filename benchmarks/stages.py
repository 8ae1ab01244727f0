"""What is measured, one function a stage; each returns what goes into the result."""

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
from benchmarks.house import House
from benchmarks.load import Loaded, LoadFailed, Period, latency
from benchmarks.peer import NotInstalled, Peer
from benchmarks.population import TICKERS
from benchmarks.settings import Settings
from local import ports
from local.launcher import MARK
from local.orphans import end, of_mark

PLACED_SECONDS_MAX = 20
"""The door alone piles up trades that have to be settled afterwards, which takes longer than placing them."""
SLOW_SECONDS = 1.0
"""What the slow exchange takes to execute."""
LONE_TRADES = 40
LONE_PAUSE_SECONDS = 0.4
STARTS = 5
START_SECONDS_MAX = 60.0
SETTLED_SPREAD_MAX = 1.5
"""Open trades may grow by as many as this part of the backlog while the load is steady: more is not steady."""
STATEMENTS_SHOWN = 40
SOAK_LOOK_SECONDS = 60
SOAK_RATE = 100.0
ROOT = Path(__file__).parents[1]


def settled(
    house: Loaded, settings: Settings, backlog: int | None = None, warm_up: float | None = None
) -> dict[str, Any]:
    """As many trades as can be settled, end to end: placed at the door as fast as others become final."""
    house.database.settle_down()
    backlog = backlog or settings.backlog
    period = load.apply(
        house, settings.seconds, warm_up or settings.warm_up_seconds, settings.connections, backlog_max=backlog
    )
    before, after = period.open_trades
    if after > max(SETTLED_SPREAD_MAX * backlog, before + backlog):
        raise LoadFailed(f"open trades grew from {before} to {after}: this was not steady")
    return {
        **_costs(period),
        "placing": latency(period.placing_ms()),
        "final": latency(period.final_ms()),
        "backlog": backlog,
        "openAtStart": before,
        "openAtEnd": after,
        "leastInASecond": min(period.settled_by_second(), default=0),
        "mostInASecond": max(period.settled_by_second(), default=0),
        "memory": house.memory(),
    }


def placed(house: House, settings: Settings) -> dict[str, Any]:
    """As many trades as can be placed while nobody settles; then, how fast what has piled up is settled."""
    house.database.settle_down()
    go_on = house.hold({"lanes", "sweep"})
    try:
        period = load.apply(
            house,
            min(settings.seconds, PLACED_SECONDS_MAX),
            min(settings.warm_up_seconds, 3),
            settings.connections,
            wait_for_finals=False,
        )
    finally:
        go_on()
    piled_up = house.database.open_trades()
    drained_seconds = house.drain()
    return {
        "tradesPerSecond": round(period.placed / period.seconds, 1),
        "placing": latency(period.placing_ms()),
        "cpuMs": period.spent.milliseconds_each(period.placed),
        **period.spent.disturbance(),
        "each": period.counters[1].each(period.counters[0], period.placed),
        "drained": {"trades": piled_up, "perSecond": round(piled_up / max(drained_seconds, 0.1), 1)},
    }


def latencies(house: House, settings: Settings, rate: float, seed: int) -> dict[str, Any]:
    """What customers feel while trades come at a rate, whether or not the earlier ones are done."""
    house.database.settle_down()
    period = load.apply(
        house, settings.seconds, settings.warm_up_seconds, max(settings.connections, 64), rate=rate, seed=seed
    )
    return {
        "rate": rate,
        **_costs(period),
        "placing": latency(period.placing_ms()),
        "final": latency(period.final_ms()),
        "finalFromDoor": latency(period.final_ms(from_door=True)),
        "openAtEnd": period.open_trades[1],
    }


def lone(house: House, settings: Settings) -> dict[str, Any]:
    """One trade at a time on a quiet system."""
    trades = min(LONE_TRADES, 10 * settings.seconds)
    period = load.apply(house, trades * LONE_PAUSE_SECONDS, 1, connections=1, rate=1 / LONE_PAUSE_SECONDS, even=True)
    return {
        "trades": len(period.final_ms()),
        "placing": latency(period.placing_ms()),
        "final": latency(period.final_ms()),
        "finalFromDoor": latency(period.final_ms(from_door=True)),
    }


def slow(house: House, settings: Settings, instant_per_second: float) -> dict[str, Any]:
    """The same as `settled` while the exchange takes its time: so many more trades are open as fit into that time."""
    house.exchange({"latencyMs": int(1000 * SLOW_SECONDS)})
    try:
        under_way = int(1.2 * instant_per_second * SLOW_SECONDS)
        measured = settled(
            house, settings, settings.backlog + under_way, warm_up=settings.warm_up_seconds + 2 * SLOW_SECONDS
        )
    finally:
        house.exchange(None)
    return {**measured, "ofInstant": round(measured["tradesPerSecond"] / instant_per_second, 3)}


def peer(name: str, house: House, settings: Settings, says: Callable[[str], None]) -> dict[str, Any]:
    """The same as `settled` for another way to do the work, and its books; or why it could not be installed."""
    try:
        with Peer(name, house, says) as other:
            return {**settled(other, settings), "audit": other.audit()}
    except NotInstalled as error:
        return {"notInstalled": str(error)}


def costs(house: House, settings: Settings, number: int, says: Callable[[str], None]) -> dict[str, Any]:
    """What trades cost, as many as there can be and 100 a second."""
    row = {"settled": settled(house, settings), "at100": latencies(house, settings, 100.0, seed=number)}
    says(
        f"{house.customers:,} customers: "
        + ", ".join(f"{name} {one['tradesPerSecond']}/s {one['cpuMs']['total']} ms" for name, one in row.items())
    )
    return row


def tables(house: House) -> dict[str, Any]:
    """How large the tables are, and that the books in them hold."""
    sizes = {name: round(size / 1e6, 1) for name, size in house.database.sizes()}
    return {
        "customers": house.customers,
        "finishedTrades": house.customers * house.trades_each,
        "loadedSeconds": round(house.loaded_seconds, 1),
        "tablesMb": sizes,
        "allMb": round(sum(sizes.values())),
        "audit": house.audit(),
    }


def footprint(house: House, settings: Settings) -> dict[str, Any]:
    """Statements a trade, counted by the server, which costs a little itself; so this is measured apart."""
    with house.database.counting_statements() as statements:
        period = load.apply(
            house, min(settings.seconds, 20), settings.warm_up_seconds, settings.connections, rate=100.0
        )
    trades = len(period.answers)
    transactions = re.compile(r"\s*(begin|commit|rollback|set|savepoint|release|start)\b", re.IGNORECASE)
    others = [row for row in statements if not transactions.match(row[3])]
    return {
        "rate": 100.0,
        "trades": trades,
        "statements": round(sum(calls for calls, *_ in others) / trades, 2),
        "transactionControl": round(sum(row[0] for row in statements if row not in others) / trades, 2),
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


def start(house: House) -> dict[str, Any]:
    """How long `web` and `lanes` take from their start to their first work.

    The house has a `web` and neither lanes nor a sweep. `web`: until it answers /readyz. `lanes`: until a trade that
    waits in its lane is in progress.
    """
    commands = dict(re.findall(r"^(\w+):\s*(.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
    web, lanes = [], []
    for number in range(STARTS):
        port = ports.choose()
        web.append(_time_start(house, commands["web"], {"PORT": str(port)}, lambda port=port: _is_ready(port)))  # type: ignore[misc]
        _place_one(house, number)
        waiting = house.database.open_trades()
        placed_before = _count(house, "PLACED")
        lanes.append(
            _time_start(house, commands["lanes"], {}, lambda before=placed_before: _count(house, "PLACED") < before)  # type: ignore[misc]
        )
        if not waiting:
            raise LoadFailed("the trade was settled without lanes")
    return {
        "webSeconds": round(statistics.median(web), 2),
        "lanesSeconds": round(statistics.median(lanes), 2),
        "webAll": [round(seconds, 2) for seconds in web],
        "lanesAll": [round(seconds, 2) for seconds in lanes],
    }


def soak(house: House, settings: Settings, says: Callable[[str], None]) -> dict[str, Any]:
    """Memory of each kind of process, minute by minute, under an even load."""
    samples: list[dict[str, dict[str, float]]] = []
    rounds = max(2, settings.soak_seconds // SOAK_LOOK_SECONDS)
    for number in range(rounds):
        period = load.apply(
            house, SOAK_LOOK_SECONDS - 2, 1, settings.connections, rate=SOAK_RATE, seed=number, wait_for_finals=False
        )
        samples.append(house.memory())
        sizes = {kind: size["largestMb"] for kind, size in samples[-1].items()}
        says(f"soak, minute {number + 1} of {rounds}: placing {latency(period.placing_ms())}, MB {sizes}")
    house.drain()
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
        raise LoadFailed(f"trades were to be FILLED: {statuses}")
    return {
        "tradesPerSecond": round(period.settled / period.seconds, 1),
        "placedPerSecond": round(period.placed / period.seconds, 1),
        "cpuMs": period.spent.milliseconds_each(period.settled),
        **period.spent.disturbance(),
        "each": period.counters[1].each(period.counters[0], period.settled),
    }


def _time_start(house: House, command: str, environment: dict[str, str], is_up: Callable[[], bool]) -> float:
    """Seconds from starting a process of the Procfile until it is up; it is ended afterwards."""
    mark = f"{house.brokerage.data_dir}#start"
    own = {**os.environ, **house.environment, "PROCESS_NAME": "start.1", MARK: mark, **environment}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", os.defpath)])
    for name, value in environment.items():
        command = command.replace(f"${name}", shlex.quote(value))
    log = house.folder / "start.log"
    with open(log, "wb") as file:
        began = time.monotonic()
        process = subprocess.Popen(["/bin/sh", "-c", f"exec {command}"], cwd=ROOT, env=own, stdout=file, stderr=file)
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
        end(of_mark(mark))


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _place_one(house: House, number: int) -> None:
    token = house.population.tokens()[number]
    request = urllib.request.Request(  # noqa: S310 (our own address)
        f"{house.brokerage.url}/api/v1/trades",
        data=f'{{"stockTicker": "{TICKERS[0]}", "type": "BUY", "quantity": 1}}'.encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


def _count(house: House, status: str) -> int:
    row = house.database.connection.execute("SELECT count(*) FROM trades_trade WHERE status = %s", [status]).fetchone()
    return int(row[0]) if row else 0
