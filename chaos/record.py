"""The record of a run: requests with their responses, and faults, as lines of JSON."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Record:
    """Two files in a folder: `requests.jsonl` and `faults.jsonl`. Any thread may write."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.requests, self.faults = folder / "requests.jsonl", folder / "faults.jsonl"
        self._files = {path: open(path, "a", buffering=1) for path in (self.requests, self.faults)}  # noqa: SIM115
        self._lock = threading.Lock()
        self._placed = self._requests = 0
        self._kinds: Counter[str] = Counter()

    def request(self, **entry: Any) -> None:
        self._requests += 1
        self._placed += entry["status"] == 201 and entry["path"] == "/api/v1/trades"
        self._write(self.requests, entry)

    def fault(self, **entry: Any) -> None:
        self._kinds["kill" if entry["kind"] == "kill" else "other"] += entry["done"] and entry["kind"] != "staff"
        self._write(self.faults, entry)

    @property
    def written(self) -> str:
        """A summary of what has been recorded so far."""
        kinds = self._kinds
        return f"{self._requests} requests, {self._placed} placed, {kinds['kill']} kills, {kinds['other']} other faults"

    def _write(self, path: Path, entry: Json) -> None:
        line = json.dumps(entry, default=str)
        with self._lock:
            self._files[path].write(line + "\n")

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def read(path: Path) -> list[Json]:
    """Return all entries of a file, without a last line that a crash cut short."""
    entries = []
    for line in path.read_text().splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def now() -> float:
    """Return the time in epoch seconds."""
    return time.time()
