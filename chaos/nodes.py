"""Breaks the nodes of a cluster: a table of every kind, killed and cut off, or at random from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

ALL_KINDS = ("lb", "web", "stream", "lane", "sweep", "mq", "cache", "ex", "standby", "primary")
AWAY_SECONDS = {"primary": 32.0, "standby": 12.0, "mq": 12.0}
"""How long a node is away; the others 8 s. A primary for longer than a failover takes."""
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
"""The program of each kind whose process is killed."""


@dataclass(frozen=True)
class Break:
    """One thing to break: `how` is kill, power or cut for nodes, end for a program, roll for an upgrade of all."""

    how: str
    kinds: tuple[str, ...]
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.how} {' + '.join(self.kinds)}"


def table() -> list[Break]:
    """Every kind of process killed, every kind of node killed and cut off, too many at once, and an upgrade."""
    return [
        *(Break("end", (kind,), 0.0) for kind in PROGRAMS),
        *(Break(how, (kind,), AWAY_SECONDS.get(kind, 8.0)) for kind in ALL_KINDS for how in ("kill", "cut")),
        Break("power", ("primary",), 32.0),
        Break("cut", ("standby", "standby"), 15.0),
        Break("cut", ("primary", "standby"), 32.0),
        Break("roll", ("all",), 0.0),
    ]


def at_random(seed: int) -> Iterator[Break]:
    """Without end: one node, or two of different kinds; the order is the seed's."""
    dice = random.Random(f"{seed} nodes")
    weights = {kind: 3 if kind in {"web", "lane", "mq", "primary", "standby"} else 1 for kind in ALL_KINDS}
    while True:
        if dice.random() < 0.3:
            yield Break("end", (dice.choice(list(PROGRAMS)),), 0.0)
            continue
        kinds = {dice.choices(list(weights), list(weights.values()))[0] for _ in range(dice.choice([1, 1, 2]))}
        if {"primary", "standby"} <= kinds:
            kinds.discard("standby")
        how = dice.choice(["kill", "power", "cut"])
        seconds = max(AWAY_SECONDS.get(kind, 8.0) for kind in kinds) * dice.uniform(0.3, 1.3)
        yield Break(how, tuple(sorted(kinds)), round(seconds, 1))
