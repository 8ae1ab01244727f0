"""Corrects times that the database wrote while its clock was wrong."""

from __future__ import annotations

from chaos.checker import Evidence, Json

LATE_SECONDS = 600.0
"""Times this long before the first request or after the last one still belong to the run."""
DATABASE_TIMES = {"trades": ("claimed_at", "settled_at"), "reports": ("received_at",)}


def correct_times(evidence: Evidence) -> None:
    """Correct the times that the database wrote while its clock was wrong. Idempotent: yes.

    The clock jumps by more than the length of a run, so such a time is recognizable. A customer's `placed_at` never
    goes back, so it stays ahead after a jump: the duration of such a trade is unknown, and its `settled_at` is cleared.
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
    for trade in evidence.trades:
        if not first < trade["placed_at"] < last:
            trade["settled_at"] = None
