"""The plan of a run: which faults happen, when and for how long. The same seed and pace give the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CALM_SECONDS = 3.0
"""No fault happens before this."""

KILLS = {
    "lanes": 28,
    "web worker": 16,
    "web": 9,
    "sweep": 18,
    "exchange": 4,
    "valkey": 8,
    "valkey and its data": 8,
    "postgres backend": 5,
    "postgres": 4,
    "supervisord": 1,
}
CHEAP_KILLS = ("valkey", "valkey and its data")
"""Killed instead if the planned target isn't working yet; they are back at once."""
PAUSES = {"lanes": 6, "sweep": 4, "web": 4, "exchange": 3, "valkey": 3, "postgres": 2, "postgres backend": 3}
LINKS = (
    "customers-web",
    "exchange-web",
    "web-postgres",
    "lanes-postgres",
    "sweep-postgres",
    "web-valkey",
    "lanes-valkey",
    "sweep-valkey",
    "lanes-exchange",
    "sweep-exchange",
    "web-exchange",
)
LINK_FAULTS = ("stall", "blackhole", "deaf", "refuse", "slow", "half", "cut")
EXCHANGE_FAULTS: tuple[dict[str, Any], ...] = (
    {"down": True},
    {"executeNoAnswerRate": 0.5},
    {"executeLostRate": 0.5},
    {"executeErrorRate": 0.5},
    {"callbackDropRate": 0.3},
    {"callbackDuplicateRate": 0.7},
    {"callbackDelayMs": 2500},
    {"contradictRate": 0.3},
    {"breakTermsRate": 0.3},
    {"randomErrorRate": 0.3},
    {"latencyMs": 1500, "latencyJitter": True},
    {"holdAnswerMs": 2500},
    {"executeNoAnswerRate": 0.1, "executeLostRate": 0.1, "callbackDropRate": 0.1, "callbackDuplicateRate": 0.3},
    {"dripHeadMs": 200},
    {"dripBodyMs": 200},
    {"dripHeadMs": {"/v1/quotes": 300}},
    {"proxyAnswerRate": 0.5, "proxyAnswerKinds": ["html404"], "proxyPassRate": 0.5},
    {
        "proxyAnswerRate": 0.5,
        "proxyAnswerKinds": ["json404", "otherTrade404", "html200", "cutBody"],
        "proxyPassRate": 0.5,
    },
    {"poisonTickers": ["F"]},
    {"tickersMax": 1},
)
EXCHANGE_CLOCK_JUMPS_SECONDS = (-20, -5, 5, 40)
RINGS = ("lost", "doubled", "reordered", "for nobody", "of another release", "poison")
STAFF: tuple[dict[str, Any], ...] = (
    {"does": "halt-all", "undoes": "resume-all", "seconds": (3, 6)},
    # Long enough to see that lanes obey it too, including lanes that were frozen when it began.
    {"does": "halt-stock", "undoes": "resume-stock", "ticker": "WMT", "seconds": (12, 15)},
    {"does": "restrict-stock", "undoes": "unrestrict-stock", "ticker": "IBM", "seconds": (4, 8)},
    {"does": "limit", "undoes": "limit", "kind": "shares_max", "value": "3", "seconds": (4, 8)},
    {"does": "limit", "undoes": "limit", "kind": "notional_max", "value": "1", "seconds": (2, 4)},
    {"does": "limit", "undoes": "limit", "kind": "orders_a_minute_max", "value": "4", "seconds": (4, 8)},
)
"""The actions of staff, and how long each lasts. Stocks cost more than 1 USD, so a limit of 1 USD stops all trades."""
CLOCK_JUMPS_SECONDS = (-3600, -90, 90, 400, 3600)
DATABASE_CLOCK_JUMPS_SECONDS = (-3600, 3600)
"""Longer than a run, so that the checker can recognize times written by a wrong clock."""
SPLIT: dict[str, Any] = {"ticker": "KO", "numerator": 3, "denominator": 2, "referencePrice": "40.0000"}
"""The split in the middle of each run. The crowd trades this stock, and the ratio leaves fractions."""
SPLIT_AFTER = 0.4
"""The part of a run after which the split is entered."""


@dataclass(frozen=True)
class Fault:
    """One fault, `at` seconds after the start, for `seconds`; `values` holds its parameters."""

    at: float
    kind: str
    target: str
    seconds: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)


SLOW = (
    "slow disk",
    "clock",
    "clock",
    "database clock",
    "restart",
    "deploy",
    "exchange clock",
    "read-only sessions",
    "replica",
    "receivers hang",
)


@dataclass(frozen=True)
class Stream:
    """A sequence of faults of one sort. Streams run at the same time, so that faults overlap."""

    name: str
    every_seconds: float
    """The average pause between two faults, at the usual pace."""


STREAMS = (
    Stream("kill", 1.8),
    Stream("pause", 20.0),
    Stream("network", 13.0),
    Stream("exchange", 16.0),
    Stream("rings", 17.0),
    Stream("slow", 15.0),
    Stream("staff", 60.0),
)


def plan(seed: int, seconds: float, pace: float = 1.0) -> dict[str, list[Fault]]:
    """Return the faults of each stream in order, for a run of that many seconds, and the split in its middle.

    Args:
        pace: How slow the machine is (`Brokerage.pace`): pauses between faults are that many times longer.
    """
    split = Fault(round(SPLIT_AFTER * seconds, 2), "split", SPLIT["ticker"], values=SPLIT)
    return {stream.name: list(_faults(stream, seed, seconds, pace)) for stream in STREAMS} | {"split": [split]}


def _faults(stream: Stream, seed: int, seconds: float, pace: float) -> Iterator[Fault]:
    rng = random.Random(f"{seed} {stream.name}")
    at = CALM_SECONDS
    while True:
        at += rng.expovariate(1 / stream.every_seconds) * pace
        fault = _fault(stream.name, round(at, 2), rng)
        if at + fault.seconds > seconds:
            return
        yield fault
        at += fault.seconds


def _fault(stream: str, at: float, rng: random.Random) -> Fault:
    if stream == "kill":
        first = _weighted(KILLS, rng)
        other_kills = rng.sample(CHEAP_KILLS, len(CHEAP_KILLS))
        return Fault(at, "kill", first, values={"number": rng.random(), "else": other_kills})
    if stream == "pause":
        seconds = round(rng.choice([rng.uniform(0.2, 2), rng.uniform(2, 9)]), 2)
        return Fault(at, "pause", _weighted(PAUSES, rng), seconds, {"number": rng.random()})
    if stream == "network":
        fault = rng.choice(LINK_FAULTS)
        seconds = 0.0 if fault == "cut" else round(rng.uniform(0.5, 8), 2)
        return Fault(at, fault, rng.choice(LINKS), seconds)
    if stream == "exchange":
        values = rng.choice(EXCHANGE_FAULTS)
        return Fault(at, "exchange", ", ".join(values), round(rng.uniform(2, 9), 2), values)
    if stream == "rings":
        return Fault(at, "rings", rng.choice(RINGS), values={"number": rng.randrange(2**31)})
    if stream == "staff":
        control = dict(rng.choice(STAFF))
        seconds = round(rng.uniform(*control.pop("seconds")), 2)
        return Fault(
            at, "staff", " ".join(setting for key, setting in control.items() if key != "undoes"), seconds, control
        )
    kind = rng.choice(SLOW)
    if kind == "exchange clock":
        jump = rng.choice(EXCHANGE_CLOCK_JUMPS_SECONDS)
        return Fault(at, kind, "exchange", round(rng.uniform(2, 9), 2), {"jumpSeconds": jump})
    if kind in {"read-only sessions", "replica"}:
        return Fault(at, kind, "valkey" if kind == "replica" else "postgres", round(rng.uniform(0.5, 3), 2))
    if kind == "database clock":
        jump = rng.choice(DATABASE_CLOCK_JUMPS_SECONDS)
        return Fault(at, "clock", "postgres", round(rng.uniform(2, 9), 2), {"jumpSeconds": jump})
    if kind == "receivers hang":
        return Fault(at, kind, "webhooks", round(rng.uniform(5, 15), 2))
    if kind == "slow disk":
        return Fault(at, kind, "postgres", round(rng.uniform(2, 10), 2))
    if kind == "clock":
        jump = rng.choice(CLOCK_JUMPS_SECONDS)
        target = rng.choice(["web.1", "lanes.1", "sweep.1"])
        return Fault(at, kind, target, round(rng.uniform(2, 9), 2), {"jumpSeconds": jump})
    if kind == "restart":
        return Fault(at, kind, rng.choice(["postgres", "valkey"]))
    return Fault(at, kind, "web, lanes, sweep")


def _weighted(weights: dict[str, int], rng: random.Random) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]
