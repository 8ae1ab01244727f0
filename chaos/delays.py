"""Checks that customers waited no longer than the faults explain, and that no trade expired without a reason."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checker import Evidence, Json, figures

EXECUTE_SECONDS_MAX = 30.0
"""A trade must reach the exchange within this time after its claim, or it expires."""
CALM_SECONDS = 18.0
"""After this long without a relevant fault, a trade has reached the exchange: the longest retry pause is 15 s."""
RECOVERY_SECONDS = 3.0
"""Time from the end of a fault until a killed or restarted server is back."""
DELAY_SECONDS_MAX, DELAY_SECONDS_P99 = 30.0, 15.0
SERVERS = {"exchange", "postgres", "supervisord"}
LINKS = {"sweep-exchange", "sweep-postgres"}
"""Only the sweep's links count: if the lanes' links are broken, the sweep sends their trades to the exchange."""


def violations(evidence: Evidence, pace: float = 1.0) -> Iterator[str]:
    """Yield a description of trades that expired or were late without a fault that explains it.

    Args:
        pace: How slow the machine is (`Brokerage.pace`): trades may be that many times later.
    """
    yield from _expired_without_a_reason(evidence)
    delay = figures(evidence)["delayAfterTheLastFaultSeconds"]
    for name, maximum in (("p99", DELAY_SECONDS_P99 * pace), ("max", DELAY_SECONDS_MAX * pace)):
        if delay.get(name, 0.0) > maximum:
            yield f"late: {name} of the delay after the last fault is {delay[name]} s, more than {maximum:.0f} s"


def _expired_without_a_reason(evidence: Evidence) -> Iterator[str]:
    for trade in evidence.trades:
        if trade["reason_code"] != "expired" or trade["claimed_at"] is None or _exchange_clock_jumped(trade, evidence):
            continue
        calm_seconds = _longest_calm(trade, evidence.faults)
        if calm_seconds > CALM_SECONDS:
            yield f"expired: {trade['id']}, although no fault kept it from the exchange for {calm_seconds:.0f} s"


def _exchange_clock_jumped(trade: Json, evidence: Evidence) -> bool:
    """Return whether the exchange's clock was wrong while the trade was in flight: it can expire at once by it."""
    ended = trade["settled_at"] or float("inf")
    return any(
        fault["kind"] == "exchange clock"
        and fault["began"] - RECOVERY_SECONDS < ended
        and trade["claimed_at"] < fault["ended"] + RECOVERY_SECONDS
        for fault in evidence.faults
    )


def _longest_calm(trade: Json, faults: list[Json]) -> float:
    """Return the longest time in seconds after its claim in which no fault affected the trade."""
    calm_since, longest = trade["claimed_at"], 0.0
    until = trade["claimed_at"] + EXECUTE_SECONDS_MAX
    for fault in sorted(faults, key=lambda fault: fault["began"]):
        if _may_delay(fault, trade):
            longest = max(longest, min(fault["began"], until) - calm_since)
            calm_since = max(calm_since, fault["ended"] + RECOVERY_SECONDS)
    return float(max(longest, until - calm_since))


def _may_delay(fault: Json, trade: Json) -> bool:
    kind, target, values = fault["kind"], fault["target"], fault["values"]
    if kind == "exchange":
        return trade["ticker"] in values.get("poisonTickers", [trade["ticker"]])
    if kind == "split":
        return bool(target == trade["ticker"])  # it halts the stock until it is applied
    if kind == "staff":
        return str(values["does"]).startswith("halt") and values.get("ticker", trade["ticker"]) == trade["ticker"]
    if kind in {"exchange clock", "read-only sessions", "slow disk", "deploy"}:
        return True
    if kind == "clock":
        return bool(target == "postgres")
    return target in LINKS or target in SERVERS  # a killed backend or worker explains nothing: there are others
