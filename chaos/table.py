"""What a fault cost, from the record of requests and the table of trades."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

Json = dict[str, Any]
BEFORE_SECONDS = 2.0
AFTER_SECONDS = 5.0


def measure(row: Json, until: float, requests: list[Json], trades: list[Json]) -> Json:
    """Seconds without service at the door, the longest delay of a trade, and what was answered meanwhile.

    A trade's delay is from its placing until it is final, of those that were open during the fault or placed then.

    Args:
        until: when the next fault began; what came after is not caused by this one.
    """
    since, until = row["began"] - BEFORE_SECONDS, min(until, row["whole"] + AFTER_SECONDS)
    placed = sorted(
        (asked for asked in requests if asked["method"] == "POST" and since <= asked["ended"] <= until),
        key=lambda asked: asked["ended"],
    )
    served = [since, *(asked["ended"] for asked in placed if asked["status"] in (200, 201)), until]
    silence = max(later - earlier for earlier, later in pairwise(served))
    met = [
        min(trade["settled_at"], until) - trade["placed_at"]
        for trade in trades
        if trade["settled_at"] and trade["placed_at"] < row["whole"] and trade["settled_at"] > row["began"]
    ]
    return {
        "silenceSeconds": round(silence, 1),
        "slowestAnswerSeconds": round(max((asked["ended"] - asked["began"] for asked in placed), default=0.0), 1),
        "longestDelaySeconds": round(max(met, default=0.0), 1),
        "answered503": sum(asked["status"] == 503 for asked in placed),
        "unanswered": sum(asked["status"] == 0 for asked in placed),
        "placed": sum(asked["status"] == 201 for asked in placed),
        "wholeAfterSeconds": round(row["whole"] - row["ended"], 1),
    }


def text(rows: list[Json]) -> str:
    """The table, for people."""
    head = (
        "fault",
        "silence s",
        "slowest answer s",
        "longest delay s",
        "503",
        "unanswered",
        "placed",
        "whole after s",
        "load",
    )
    names = ("silenceSeconds", "slowestAnswerSeconds", "longestDelaySeconds", "answered503", "unanswered", "placed")
    lines = [
        (row["name"], *(str(row[name]) for name in names), str(row["wholeAfterSeconds"]), str(row["load"]))
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)) for line in [head, *lines]
    )
