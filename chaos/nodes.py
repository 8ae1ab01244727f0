"""The faults of a cluster's nodes: a table that covers every kind of node, or a random sequence from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

ALL_KINDS = ("lb", "web", "stream", "lane", "sweep", "mq", "cache", "ex", "standby", "primary")
AWAY_SECONDS = {"primary": 32.0, "standby": 12.0, "mq": 12.0}
"""How long a node is down (others: 8 s). A primary stays down for longer than a failover takes."""
CLOCK_JUMP_SECONDS = 3600
NODES_MAX = 6
"""A multiple of the number of nodes of every kind, so that each node is as likely as the others."""
PROGRAMS = {
    "web": "web",
    "stream": "stream",
    "lane": "lanes",
    "sweep": "sweep",
    "mq": "rabbitmq",
    "lb": "haproxy",
    "cache": "valkey",
    "standby": "etcd",
    "primary": "postgres",
}
"""Kind of node -> the program that the fault `end` kills."""


@dataclass(frozen=True)
class NodeFault:
    """One fault: `action` is kill, power or cut for nodes, end for a program, roll for a rolling upgrade.

    It is clock for a standby that becomes the primary while its clock is `jump_seconds` wrong. Of several nodes of a
    kind, `which` selects one; a lane node is always one that serves a lane.
    """

    action: str
    kinds: tuple[str, ...]
    seconds: float
    jump_seconds: int = 0
    which: int = 0

    @property
    def name(self) -> str:
        return f"{self.action} {' + '.join(self.kinds)}" + (f" {self.jump_seconds:+d}" if self.jump_seconds else "")


def table() -> list[NodeFault]:
    """Return faults of every kind of program and node, of several nodes at once, of clocks, and a rolling upgrade."""
    return [
        *(NodeFault("end", (kind,), 0.0) for kind in PROGRAMS),
        *(NodeFault(action, (kind,), AWAY_SECONDS.get(kind, 8.0)) for kind in ALL_KINDS for action in ("kill", "cut")),
        NodeFault("power", ("primary",), 32.0),
        NodeFault("cut", ("standby", "standby"), 15.0),
        NodeFault("cut", ("primary", "standby"), 32.0),
        NodeFault("roll", ("all",), 0.0),
        # Last: a customer's placing times never go back, so later delays could not be computed.
        *(NodeFault("clock", ("standby",), 12.0, jump) for jump in (-CLOCK_JUMP_SECONDS, CLOCK_JUMP_SECONDS)),
    ]


def at_random(seed: int) -> Iterator[NodeFault]:
    """Yield random faults without end, each of one node or of two of different kinds; the seed determines them."""
    rng = random.Random(f"{seed} nodes")
    weights = {kind: 3 if kind in {"web", "lane", "mq", "primary", "standby"} else 1 for kind in ALL_KINDS}
    while True:
        if rng.random() < 0.3:
            yield NodeFault("end", (rng.choice(list(PROGRAMS)),), 0.0, which=rng.randrange(NODES_MAX))
            continue
        kinds = {rng.choices(list(weights), list(weights.values()))[0] for _ in range(rng.choice([1, 1, 2]))}
        if {"primary", "standby"} <= kinds:
            kinds.discard("standby")
        action = rng.choice(["kill", "power", "cut"])
        seconds = max(AWAY_SECONDS.get(kind, 8.0) for kind in kinds) * rng.uniform(0.3, 1.3)
        yield NodeFault(action, tuple(sorted(kinds)), round(seconds, 1), which=rng.randrange(NODES_MAX))
