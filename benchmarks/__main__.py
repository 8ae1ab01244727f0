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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import bell, lots, proofs, readers, stages
from benchmarks.cost import disk_a_trade
from benchmarks.limit import Limit
from benchmarks.load import LoadFailed
from benchmarks.peer import PEERS
from benchmarks.results import goals, medians, table
from benchmarks.settings import InvalidSetting, Settings
from benchmarks.site import BooksDoNotHold, DiskFull, Site

LANES = (1, 2, 4)
SHOWN = (
    *("halves", "bytes", "pages", "slowestP99", "finalP99Ratio", "placingP99Ratio", "ofFull"),
    *("tradesPerSecond", "placing", "placingMeanwhile", "final", "cpuMs", "othersPercent", "notInstalled", "seconds"),
)
IN_EVERY_RUN = ("limit", "placed", "settled", "slow", "latency", "lone")


class Bench:
    """One run of the benchmark."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.began = time.monotonic()
        self.result: dict[str, Any] = {"machine": machine(), "settings": dataclasses.asdict(settings)}

    def say(self, text: str) -> None:
        """Print one line of progress."""
        say(f"{time.monotonic() - self.began:7.1f} s  {text}")

    def run(self) -> None:
        """Run all selected stages. If one raises BooksDoNotHold or LoadFailed, `result` has those before it."""
        wants = self.settings.wants
        if wants(*IN_EVERY_RUN, "footprint", "peers"):
            self._runs()
        if wants("lanes"):
            self.result["lanes"] = {str(count): self._with_lanes(count) for count in LANES}
        if wants("big"):
            self.result["big"] = self._big()
        if wants("start"):
            with Site({"lanes": 0, "sweep": 0}, customers=100, say=self.say) as site:
                self.result["start"] = stages.start(site)
                site.audit(drain=False)
            self.say(f"start: {self.result['start']}")
        if wants("soak") and self.settings.soak_seconds:
            with self._site() as site:
                self.result["soak"] = stages.soak(site, self.settings, self.say)
                self.result["soak"]["audit"] = site.audit()
        if wants("bell"):
            self.result["bell"] = self._announce("bell", bell.opening(self.settings, self.say))
        if wants("lots"):
            self.result["lots"] = self._announce("lots", lots.build(self.settings, self.say))
        if wants("readers"):
            with self._site({"CHARTS_SECONDS": "10"}) as site:
                self.result["readers"] = self._announce("readers", readers.beside_trades(site, self.settings))
                site.audit()
        if wants("proof"):
            self.result["proof"] = self._announce("proof", proofs.of_a_day(self.settings, self.say))
        if wants("disk"):
            self.result["disk"] = self._disk()
        self.result["goals"] = goals(self.result)
        self.result["seconds"] = round(time.monotonic() - self.began)

    def _runs(self) -> None:
        """Run the main stages several times on one brokerage, and store their medians."""
        with self._site() as site:
            self.result["machine"]["postgresql"] = site.database.version()
            limit = Limit(site) if self.settings.wants("limit") else None
            runs = [self._one_run(number, site, limit) for number in range(self.settings.runs)]
            if limit:
                limit.close()
            self.result["runs"] = [
                {name: stage.get("tradesPerSecond") for name, stage in run.items() if isinstance(stage, dict)}
                for run in runs
            ]
            self.result |= medians(runs)
            if self.settings.wants("footprint"):
                self.result["footprint"] = stages.footprint(site, self.settings)
                self.say(f"footprint: {self.result['footprint']['statements']} statements a trade")
            self.result["audit"] = site.audit()
            if self.settings.wants("peers"):
                self.result["peers"] = {name: self._peer(name, site) for name in PEERS}

    def _one_run(self, number: int, site: Site, limit: Limit | None) -> dict[str, Any]:
        settings = self.settings
        run: dict[str, Any] = {}
        if settings.wants("placed"):
            run["placed"] = self._announce("placed", stages.placed(site, settings))
        run |= self._limit_and_settled(site, limit)
        max_rate = run["settled"]["tradesPerSecond"] if "settled" in run else 0.0
        if settings.wants("slow"):
            run["slow"] = self._announce("slow", stages.slow(site, settings, max_rate))
        if settings.wants("latency"):
            rates = [*settings.rates]
            if max_rate:
                rates += [round(part * max_rate) for part in settings.fractions if part * max_rate > max(rates)]
            run["latency"] = []
            for rate in rates:
                row = stages.latencies(site, settings, rate, seed=number)
                run["latency"].append(self._announce(f"latency at {rate:g}", row))
        if settings.wants("lone"):
            run["lone"] = stages.lone(site, settings)
            self.say(f"lone: placed to final {run['lone']['final']}")
        audit = site.audit()
        self.say(f"run {number + 1} of {settings.runs} done; books: {audit}")
        return run

    def _limit_and_settled(self, site: Site, limit: Limit | None) -> dict[str, Any]:
        """Measure half of the limit before `settled` and half after it: the machine's speed changes within minutes."""
        settings, run = self.settings, dict[str, Any]()
        part = settings.seconds // 2, settings.warm_up_seconds
        halves = [limit.measure(*part)] if limit else []
        if settings.wants("settled", "slow", "peers"):
            run["settled"] = self._announce("settled", stages.settled(site, settings))
        if limit:
            halves.append(limit.measure(*part))
            run["limit"] = medians(halves) | {"halves": [half["tradesPerSecond"] for half in halves]}
            self._announce("limit", run["limit"])
            if "settled" in run:
                run["ratio"] = round(run["settled"]["tradesPerSecond"] / run["limit"]["tradesPerSecond"], 3)
        return run

    def _peer(self, name: str, site: Site) -> dict[str, Any]:
        measured = self._announce(name, stages.peer(name, site, self.settings, self.say))
        if "tradesPerSecond" in measured:
            settled = self.result["settled"]
            measured["times"] = round(settled["tradesPerSecond"] / measured["tradesPerSecond"], 2)
            measured["cpuTimes"] = round(measured["cpuMs"]["total"] / settled["cpuMs"]["total"], 2)
            self.say(f"{name}: the brokerage settles {measured['times']} times as much; books: {measured['audit']}")
        return measured

    def _with_lanes(self, count: int) -> dict[str, Any]:
        with Site({**self.settings.processes, "lanes": count}, self.settings.customers, say=self.say) as site:
            measured = stages.settled(site, self.settings)
            site.audit()
        return self._announce(f"lanes={count}", measured)

    def _big(self) -> dict[str, Any]:
        """Measure with small and with big tables, alternating, because the machine's speed varies over time."""
        settings = self.settings
        trades_each = settings.big_trades // settings.big_customers
        with (
            self._site() as small,
            Site(
                settings.processes, settings.big_customers, trades_each, None, self.say, settings.customers, True
            ) as big,
        ):
            self.say(f"{settings.big_trades:,} trades were loaded in {big.loaded_seconds:.0f} s")
            runs: dict[Site, list[dict[str, Any]]] = {small: [], big: []}
            for number in range(settings.runs):
                for site, other in ((small, big), (big, small)):
                    resume = other.freeze({"web", "lanes", "sweep", "stream"})
                    try:
                        runs[site].append(stages.costs(site, settings, number, self.say))
                    finally:
                        resume()
            measured = {site: {**medians(rows), **stages.tables(site)} for site, rows in runs.items()}
        ratios = [
            round(measured[big][name]["cpuMs"]["total"] / measured[small][name]["cpuMs"]["total"], 3)
            for name in ("settled", "at100")
        ]
        self.say(
            f"big: cost relative to small tables {ratios}, MB {measured[big]['allMb']}, books: {measured[big]['audit']}"
        )
        return {**measured[big], "small": measured[small], "costRatio": ratios[0], "costRatioAt100": ratios[1]}

    def _disk(self) -> dict[str, Any]:
        """Load trades and measure what each takes on disk. Nothing is traded, so nothing else has to be quiet."""
        settings = self.settings
        trades_each = max(1, settings.proof_trades // settings.proof_customers)
        with Site({"lanes": 0}, settings.proof_customers, trades_each, None, self.say, 1, in_bulk=True) as site:
            site.database.vacuum_and_checkpoint()
            measured = stages.disk(site)
        return self._announce("disk", {**measured, "bytes": disk_a_trade({"disk": measured})})

    def _site(self, env: Mapping[str, str] | None = None) -> Site:
        self.say("starting a brokerage")
        return Site(self.settings.processes, self.settings.customers, env=env, say=self.say)

    def _announce(self, name: str, stage: dict[str, Any]) -> dict[str, Any]:
        self.say(f"{name}: {json.dumps({key: stage[key] for key in SHOWN if key in stage})}")
        return stage


def machine() -> dict[str, Any]:
    """Return a description of the machine and the commit."""
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
    """Run the benchmark with the settings in the environment; return its exit code."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    result: dict[str, Any] = {}
    try:
        bench = Bench(Settings.read())
        result = bench.result
        bench.run()
    except (BooksDoNotHold, LoadFailed, DiskFull, TimeoutError, InvalidSetting) as error:
        say(f"error: {error}")
        say(json.dumps({"ok": False, "error": f"{type(error).__name__}: {error}"[:2000], **result}))
        return 1
    except KeyboardInterrupt:
        return 130
    for line in ("", *table(result)):
        say(line)
    say(json.dumps({"ok": True, **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
