"""The effect of each fault on customers, computed from the record of requests and the trades."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

Json = dict[str, Any]
BEFORE_SECONDS = 2.0
AFTER_SECONDS = 5.0


def measure(row: Json, until: float, requests: list[Json], trades: list[Json]) -> Json:
    """Return the time without service, the longest delay of a trade, and the responses during one fault.

    There is a slowest answer of requests that read and of those that change something; the other figures are of the
    latter. A trade's delay lasts from its placement until it is final. Only trades that were open during the fault
    count.

    Args:
        until: when the next fault began; later events aren't caused by this one.
    """
    since, until = row["began"] - BEFORE_SECONDS, min(until, row["whole"] + AFTER_SECONDS)
    met_requests = [request for request in requests if since <= request["ended"] <= until]
    placed = sorted(
        (request for request in met_requests if request["method"] == "POST"), key=lambda request: request["ended"]
    )
    served = [since, *(request["ended"] for request in placed if request["status"] in (200, 201)), until]
    longest_gap = max(later - earlier for earlier, later in pairwise(served))
    met = [
        min(trade["settled_at"], until) - trade["placed_at"]
        for trade in trades
        if trade["settled_at"] and trade["placed_at"] < row["whole"] and trade["settled_at"] > row["began"]
    ]
    return {
        "silenceSeconds": round(longest_gap, 1),
        "slowestReadSeconds": _slowest(request for request in met_requests if request["method"] == "GET"),
        "slowestWriteSeconds": _slowest(request for request in met_requests if request["method"] != "GET"),
        "longestDelaySeconds": round(max(met, default=0.0), 1),
        "answered503": sum(request["status"] == 503 for request in placed),
        "unanswered": sum(request["status"] == 0 for request in placed),
        "placed": sum(request["status"] == 201 for request in placed),
        "wholeAfterSeconds": round(row["whole"] - row["ended"], 1),
    }


def _slowest(requests: Iterable[Json]) -> float:
    return round(max((request["ended"] - request["began"] for request in requests), default=0.0), 1)


def text(rows: list[Json]) -> str:
    """Return the table as text."""
    head = (
        "fault",
        "silence s",
        "slowest read s",
        "slowest write s",
        "longest delay s",
        "503",
        "unanswered",
        "placed",
        "whole after s",
        "load",
    )
    names = (
        "silenceSeconds",
        "slowestReadSeconds",
        "slowestWriteSeconds",
        "longestDelaySeconds",
        "answered503",
        "unanswered",
        "placed",
    )
    lines = [
        (row["name"], *(str(row[name]) for name in names), str(row["wholeAfterSeconds"]), str(row["load"]))
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in [head, *lines]
    )
