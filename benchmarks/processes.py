"""CPU time and memory of processes by kind, read from /proc."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Snapshot:
    """Cumulative CPU seconds of each kind of process and of the whole machine, at one time."""

    at: float
    by_kind: Mapping[str, float]
    machine: float
    stolen: float


def snapshot(roots: Mapping[int, str]) -> Snapshot:
    """Return the CPU time of the process trees under these roots (pid: kind).

    A process counts for its nearest ancestor among the roots. The time of ended processes counts for their parents.
    """
    parents, seconds = {}, {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            pid = int(entry.name)
            parents[pid] = int(fields[1])
            seconds[pid] = sum(map(int, fields[11:15])) / TICKS_A_SECOND
    by_kind: dict[str, float] = defaultdict(float)
    for pid in parents:
        if kind := _kind(pid, parents, roots):
            by_kind[kind] += seconds[pid]
    user, nice, system, _, _, irq, softirq, steal, *_ = (
        int(field) / TICKS_A_SECOND for field in (PROC / "stat").read_text().splitlines()[0].split()[1:]
    )
    return Snapshot(time.time(), by_kind, user + nice + system + irq + softirq, steal)


@dataclass(frozen=True)
class Spent:
    """CPU seconds between two snapshots."""

    seconds: float
    by_kind: dict[str, float]
    others: float
    stolen: float

    @classmethod
    def between(cls, before: Snapshot, after: Snapshot) -> Spent:
        """Return the CPU time spent between two snapshots."""
        by_kind = {kind: after.by_kind[kind] - before.by_kind.get(kind, 0.0) for kind in after.by_kind}
        others = after.machine - before.machine - sum(by_kind.values())
        return cls(after.at - before.at, by_kind, max(0.0, others), after.stolen - before.stolen)

    def milliseconds_each(self, count: int) -> dict[str, float]:
        """Return CPU milliseconds divided by `count`: of each kind, and in total."""
        per_kind = {kind: round(1000 * seconds / count, 3) for kind, seconds in sorted(self.by_kind.items())}
        return per_kind | {"total": round(1000 * sum(self.by_kind.values()) / count, 3)} if count else {}

    def disturbance(self) -> dict[str, float]:
        """Return how busy the machine was, in percent, and the share of processes outside the benchmark."""
        available = self.seconds * (os.cpu_count() or 1)
        busy = sum(self.by_kind.values()) + self.others
        return {
            "busyPercent": round(100 * busy / available, 1),
            "othersPercent": round(100 * self.others / available, 1),
            "stolenPercent": round(100 * self.stolen / available, 1),
        }


def memory(roots: Mapping[int, str]) -> dict[str, dict[str, float]]:
    """Return megabytes by kind: of the largest process, and of all processes.

    The largest process is measured as resident memory without shared memory (PostgreSQL's buffers). All processes are
    measured as PSS, which counts shared pages once.
    """
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    sizes: dict[str, dict[str, float]] = {}
    for pid in parents:
        kind = _kind(pid, parents, roots)
        if not kind:
            continue
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
            lines += [line for line in (PROC / str(pid) / "status").read_text().splitlines() if line[:8] == "RssShmem"]
        except OSError:
            continue
        size = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        kind_size = sizes.setdefault(kind, {"largestMb": 0.0, "allMb": 0.0, "processes": 0})
        kind_size["largestMb"] = max(kind_size["largestMb"], round((size["Rss"] - size["RssShmem"]) / MEGABYTE, 1))
        kind_size["allMb"] = round(kind_size["allMb"] + size["Pss"] / MEGABYTE, 1)
        kind_size["processes"] += 1
    return sizes


def _kind(pid: int, parents: Mapping[int, int], roots: Mapping[int, str]) -> str | None:
    while pid and pid not in roots:
        pid = parents.get(pid, 0)
    return roots.get(pid)
