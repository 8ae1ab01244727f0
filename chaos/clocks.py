"""Times in the database, set right where its clock was wrong."""

from __future__ import annotations

from chaos.checker import Evidence, Json

LATE_SECONDS = 600.0
"""How long before the first and after the last request a time still belongs to a run."""
WRITTEN = {"trades": ("claimed_at", "settled_at"), "reports": ("received_at",)}


def set_right(told: Evidence) -> None:
    """Move times that the database wrote while its clock was off to when they were. Idempotent: yes.

    The clock jumps by more than a run is long, so that such a time is recognized. A customer's `placed_at` never goes
    back and stays ahead after a jump: how long such a trade took is not known, and it loses its `settled_at`.
    """
    jumps = {
        fault["values"]["jumpSeconds"]
        for fault in told.faults
        if (fault["kind"], fault["target"], fault["done"]) == ("clock", "postgres", True)
    }
    if not jumps or not told.requests:
        return
    first = min(asked["began"] for asked in told.requests) - LATE_SECONDS
    last = max(asked["ended"] for asked in told.requests) + LATE_SECONDS

    def at(written: float) -> float:
        return next((written - j for j in jumps if not first < written < last and first < written - j < last), written)

    for name, columns in WRITTEN.items():
        rows: list[Json] = getattr(told, name)
        for row in rows:
            row |= {column: at(row[column]) for column in columns if row[column] is not None}
    for trade in told.trades:
        if not first < trade["placed_at"] < last:
            trade["settled_at"] = None
