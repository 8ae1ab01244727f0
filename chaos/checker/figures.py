"""Statistics of a run: how many trades there were, how they ended, and how long they took."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections import Counter, defaultdict

from chaos.checker.case import Case
from chaos.checker.evidence import NO_ANSWER, Evidence, Json


def figures(evidence: Evidence) -> Json:
    """Return the counts, waits and delays of trades, in seconds.

    A trade's wait lasts from when it became the first in its customer's line until it was final. Its delay after a
    fault is the part of the wait after that fault had ended; its delay after the last fault is the part after all
    faults during the wait had ended.
    """
    case = Case(evidence)
    injected = [fault for fault in evidence.faults if fault.get("done")]
    injected.sort(key=lambda fault: fault["began"])
    begins = [fault["began"] for fault in injected]
    longest = max((fault["ended"] - fault["began"] for fault in injected), default=0.0)
    waits: list[float] = []
    after_last: list[float] = []
    by_kind: dict[str, list[float]] = defaultdict(list)
    for line in case.lines.values():
        ready = 0.0
        for trade in line:
            if trade["settled_at"] is None:
                continue
            ready, ended = max(ready, trade["placed_at"]), trade["settled_at"]
            waits.append(ended - ready)
            met = [
                fault
                for fault in injected[bisect_left(begins, ready - longest) : bisect_left(begins, ended)]
                if fault["ended"] >= ready and _concerns(fault, trade)
            ]
            for fault in met:
                by_kind[_name(fault)].append(max(0.0, ended - max(ready, fault["ended"])))
            if met:
                after_last.append(max(0.0, ended - max(ready, *(fault["ended"] for fault in met))))
            ready = ended
    return {
        "trades": len(case.trades),
        "filled": sum(trade["status"] == "FILLED" for trade in case.trades),
        "rejected": dict(
            Counter(
                rejected_trade["reason_code"]
                for rejected_trade in case.trades
                if rejected_trade["status"] == "REJECTED"
            ).most_common()
        ),
        "requests": len(evidence.requests),
        "requestsWithoutAnswer": sum(request["status"] == NO_ANSWER for request in evidence.requests),
        "requestsAnswered503": sum(request["status"] == 503 for request in evidence.requests),
        "exchangeContradictedItself": len(case.contradictions),
        "waitSeconds": _percentiles(waits),
        "delayAfterTheLastFaultSeconds": _percentiles(after_last),
        "delayAfterSeconds": {kind: _percentiles(delays) for kind, delays in sorted(by_kind.items())},
    }


def _concerns(fault: Json, trade: Json) -> bool:
    return fault["kind"] != "split" or bool(fault["target"] == trade["ticker"])


def _name(fault: Json) -> str:
    return f"{fault['kind']} {fault['target']}"


def _percentiles(values: list[float]) -> Json:
    if not values:
        return {"trades": 0}
    values.sort()
    return {
        "trades": len(values),
        "p50": round(statistics.median(values), 2),
        "p99": round(values[int(len(values) * 0.99)], 2),
        "max": round(values[-1], 2),
    }
