"""Proves that customers waited no longer than the faults made them, and that nothing expired without a reason."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checker import Evidence, Json, figures

WITHIN_SECONDS = 30.0
"""From its claim, a trade must reach the exchange within this time, or it expires."""
CALM_SECONDS = 18.0
"""So long without a fault that concerns it, and a trade has been handed to the exchange: the longest pause is 15 s."""
RECOVERY_SECONDS = 3.0
"""From the end of a fault until a server that was killed or restarted is back."""
DELAY_SECONDS_MAX, DELAY_SECONDS_P99 = 30.0, 15.0
SERVERS = {"exchange", "postgres", "supervisord"}
LINKS = {"sweep-exchange", "sweep-postgres"}
"""Without the lanes' ways the sweep hands trades over; without its own it does not."""


def violations(told: Evidence) -> Iterator[str]:
    """What expired or was late although the plan gave no reason for it, in words."""
    yield from _expired_without_a_reason(told)
    delay = figures(told)["delayAfterTheLastFaultSeconds"]
    for name, most in (("p99", DELAY_SECONDS_P99), ("max", DELAY_SECONDS_MAX)):
        if delay.get(name, 0.0) > most:
            yield f"late: {name} of the delay after the last fault is {delay[name]} s, more than {most:.0f} s"


def _expired_without_a_reason(told: Evidence) -> Iterator[str]:
    for trade in told.trades:
        if trade["reason_code"] != "expired" or trade["claimed_at"] is None:
            continue
        calm = _longest_calm(trade, told.faults)
        if calm > CALM_SECONDS:
            yield f"expired: {trade['id']}, although nothing kept it from the exchange for {calm:.0f} s"


def _longest_calm(trade: Json, faults: list[Json]) -> float:
    """The longest time after its claim, in seconds, in which no fault concerned the trade."""
    calm_since, longest = trade["claimed_at"], 0.0
    until = trade["claimed_at"] + WITHIN_SECONDS
    for fault in sorted(faults, key=lambda fault: fault["began"]):
        if _concerns(fault, trade):
            longest = max(longest, min(fault["began"], until) - calm_since)
            calm_since = max(calm_since, fault["ended"] + RECOVERY_SECONDS)
    return float(max(longest, until - calm_since))


def _concerns(fault: Json, trade: Json) -> bool:
    kind, target, values = fault["kind"], fault["target"], fault["values"]
    if kind == "exchange":
        return trade["ticker"] in values.get("poisonTickers", [trade["ticker"]])
    if kind == "staff":
        return str(values["does"]).startswith("halt") and values.get("ticker", trade["ticker"]) == trade["ticker"]
    if kind in {"exchange clock", "read-only sessions", "slow disk", "deploy"}:
        return True
    if kind == "clock":
        return bool(target == "postgres")
    return target in LINKS or target in SERVERS  # a killed backend or worker is no excuse: others are there
