"""What was asked, what was answered, and what went wrong: one JSON object a line, written as it happens."""

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

    def request(self, **told: Any) -> None:
        self._requests += 1
        self._placed += told["status"] == 201 and told["path"] == "/api/v1/trades"
        self._write(self.requests, told)

    def fault(self, **told: Any) -> None:
        self._kinds["kill" if told["kind"] == "kill" else "other"] += told["done"] and told["kind"] != "staff"
        self._write(self.faults, told)

    @property
    def written(self) -> str:
        """How far it is, for people."""
        kinds = self._kinds
        return f"{self._requests} requests, {self._placed} placed, {kinds['kill']} kills, {kinds['other']} other faults"

    def _write(self, path: Path, told: Json) -> None:
        line = json.dumps(told, default=str)
        with self._lock:
            self._files[path].write(line + "\n")

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def read(path: Path) -> list[Json]:
    """All that was written; a last line that a crash cut short is left out."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def now() -> float:
    """Epoch seconds."""
    return time.time()
