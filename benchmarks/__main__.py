"""`python -m benchmarks`: measures the brokerage; the last line printed is one JSON object."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import stages
from benchmarks.house import BooksDoNotHold, House, NoRoom
from benchmarks.limit import Limit
from benchmarks.load import LoadFailed
from benchmarks.peer import PEERS
from benchmarks.results import goals, medians, table
from benchmarks.settings import Settings, Unclear

LANES = (1, 2, 4)
PARTS_OF_MOST = (0.5, 0.75, 0.9)
"""Of the most that was settled: further loads for the latency's curve."""
TOLD = ("tradesPerSecond", "placing", "final", "cpuMs", "othersPercent", "notInstalled")
IN_EVERY_RUN = ("limit", "placed", "settled", "slow", "latency", "lone")


class Bench:
    """One call of the benchmark."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.began = time.monotonic()
        self.result: dict[str, Any] = {"machine": machine(), "settings": dataclasses.asdict(settings)}

    def says(self, text: str) -> None:
        """One line for who is watching."""
        say(f"{time.monotonic() - self.began:7.1f} s  {text}")

    def run(self) -> dict[str, Any]:
        """Measure everything that is asked for. Raises BooksDoNotHold, LoadFailed."""
        wants = self.settings.wants
        if wants(*IN_EVERY_RUN, "footprint", "peers"):
            self._runs()
        if wants("lanes"):
            self.result["lanes"] = {str(count): self._with_lanes(count) for count in LANES}
        if wants("big"):
            self.result["big"] = self._big()
        if wants("start"):
            with House({"lanes": 0, "sweep": 0}, customers=100, says=self.says) as house:
                self.result["start"] = stages.start(house)
                house.audit(drain=False)
            self.says(f"start: {self.result['start']}")
        if wants("soak") and self.settings.soak_seconds:
            with self._house() as house:
                self.result["soak"] = stages.soak(house, self.settings, self.says)
                self.result["soak"]["audit"] = house.audit()
        self.result["goals"] = goals(self.result)
        self.result["seconds"] = round(time.monotonic() - self.began)
        return self.result

    def _runs(self) -> None:
        """The main stages, one after the other, as often as asked for, on one brokerage; medians."""
        with self._house() as house:
            self.result["machine"]["postgresql"] = house.database.version()
            limit = Limit(house) if self.settings.wants("limit") else None
            runs = [self._one_run(number, house, limit) for number in range(self.settings.runs)]
            if limit:
                limit.close()
            self.result["runs"] = [
                {name: stage.get("tradesPerSecond") for name, stage in run.items() if isinstance(stage, dict)}
                for run in runs
            ]
            self.result |= medians(runs)
            if self.settings.wants("footprint"):
                self.result["footprint"] = stages.footprint(house, self.settings)
                self.says(f"footprint: {self.result['footprint']['statements']} statements a trade")
            self.result["audit"] = house.audit()
            if self.settings.wants("peers"):
                self.result["peers"] = {name: self._peer(name, house) for name in PEERS}

    def _one_run(self, number: int, house: House, limit: Limit | None) -> dict[str, Any]:
        settings = self.settings
        run: dict[str, Any] = {}
        if limit:
            run["limit"] = self._tell("limit", limit.measure(settings.seconds))
        if settings.wants("placed"):
            run["placed"] = self._tell("placed", stages.placed(house, settings))
        if settings.wants("settled", "slow", "peers"):
            run["settled"] = self._tell("settled", stages.settled(house, settings))
            most = run["settled"]["tradesPerSecond"]
            if limit:
                run["ratio"] = round(most / run["limit"]["tradesPerSecond"], 3)
        if settings.wants("slow"):
            run["slow"] = self._tell("slow", stages.slow(house, settings, most))
        if settings.wants("latency"):
            rates = [*settings.rates]
            if "settled" in run:
                rates += [round(part * most) for part in PARTS_OF_MOST if part * most > max(rates)]
            run["latency"] = []
            for rate in rates:
                row = stages.latencies(house, settings, rate, seed=number)
                run["latency"].append(self._tell(f"latency at {rate:g}", row))
        if settings.wants("lone"):
            run["lone"] = stages.lone(house, settings)
            self.says(f"lone: placed to final {run['lone']['final']}")
        audit = house.audit()
        self.says(f"run {number + 1} of {settings.runs} done; books: {audit}")
        return run

    def _peer(self, name: str, house: House) -> dict[str, Any]:
        measured = self._tell(name, stages.peer(name, house, self.settings, self.says))
        if "tradesPerSecond" in measured:
            ours = self.result["settled"]
            measured["times"] = round(ours["tradesPerSecond"] / measured["tradesPerSecond"], 2)
            measured["cpuTimes"] = round(measured["cpuMs"]["total"] / ours["cpuMs"]["total"], 2)
            self.says(f"{name}: the brokerage settles {measured['times']} times as many; books: {measured['audit']}")
        return measured

    def _with_lanes(self, count: int) -> dict[str, Any]:
        with House({**self.settings.processes, "lanes": count}, self.settings.customers, says=self.says) as house:
            measured = stages.settled(house, self.settings)
            house.audit()
        return self._tell(f"lanes={count}", measured)

    def _big(self) -> dict[str, Any]:
        """The same trades with small and with big tables, in turns, for the machine is not the same all the time."""
        settings = self.settings
        each = settings.big_trades // settings.big_customers
        with (
            self._house() as small,
            House(settings.processes, settings.big_customers, each, None, self.says, settings.customers, True) as big,
        ):
            self.says(f"{settings.big_trades:,} trades were loaded in {big.loaded_seconds:.0f} s")
            runs: dict[House, list[dict[str, Any]]] = {small: [], big: []}
            for number in range(settings.runs):
                for house, other in ((small, big), (big, small)):
                    go_on = other.hold({"web", "lanes", "sweep", "stream"})
                    try:
                        runs[house].append(stages.costs(house, settings, number, self.says))
                    finally:
                        go_on()
            found = {house: {**medians(rows), **stages.tables(house)} for house, rows in runs.items()}
        ratios = [
            round(found[big][name]["cpuMs"]["total"] / found[small][name]["cpuMs"]["total"], 3)
            for name in ("settled", "at100")
        ]
        self.says(
            f"big: cost / that with small tables {ratios}, MB {found[big]['allMb']}, books: {found[big]['audit']}"
        )
        return {**found[big], "small": found[small], "costRatio": ratios[0], "costRatioAt100": ratios[1]}

    def _house(self) -> House:
        self.says("starting a brokerage")
        return House(self.settings.processes, self.settings.customers, says=self.says)

    def _tell(self, name: str, stage: dict[str, Any]) -> dict[str, Any]:
        self.says(f"{name}: {json.dumps({key: stage[key] for key in TOLD if key in stage})}")
        return stage


def machine() -> dict[str, Any]:
    """On what this was measured."""
    processor = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memoryGb": round(int(memory.split()[1]) / 1e6, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """Run the benchmark as the environment says; return its exit code."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        bench = Bench(Settings.read())
        result = bench.run()
    except (BooksDoNotHold, LoadFailed, NoRoom, TimeoutError, Unclear) as error:
        say(f"error: {error}")
        say(json.dumps({"ok": False, "error": f"{type(error).__name__}: {error}"[:2000]}))
        return 1
    except KeyboardInterrupt:
        return 130
    for line in ("", *table(result)):
        say(line)
    say(json.dumps({"ok": True, **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
