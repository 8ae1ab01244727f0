"""What is to be measured, and how long: read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

STAGES = (
    *("limit", "placed", "settled", "slow", "latency", "lone"),  # in every run
    *("footprint", "lanes", "start", "big", "peers", "soak"),  # once
)
OFF_BY_DEFAULT = {"soak"}


class Unclear(Exception):
    """A variable says something that can't be meant; the message names it."""


@dataclass(frozen=True)
class Settings:
    """The benchmark's own settings, each a variable BENCH_…"""

    runs: int = 3
    """RUNS: how often each of the main stages is measured; results are medians."""
    seconds: int = 60
    """SECONDS: how long each is steady."""
    warm_up_seconds: int = 5
    """WARM_UP_SECONDS: load before anything counts."""
    only: tuple[str, ...] = ()
    """ONLY: stages, separated by commas; none: all but the soak."""
    rates: tuple[float, ...] = (30, 100, 300)
    """RATES: trades a second of the latency stages; parts of the most settled are added."""
    connections: int = 32
    """CONNECTIONS of the generator."""
    backlog: int = 256
    """BACKLOG: open trades at most where as much as possible is settled."""
    customers: int = 10_000
    """CUSTOMERS who trade."""
    scale: str = ""
    """SCALE: processes, such as web=1,lanes=2; empty: one of each."""
    soak_seconds: int = 0
    """SOAK_SECONDS; 0: no soak."""
    big_customers: int = 1_000_000
    """BIG_CUSTOMERS in the big tables."""
    big_trades: int = 10_000_000
    """BIG_TRADES that have finished in the big tables."""

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises Unclear."""
        values: dict[str, object] = {}
        for name, default in vars(cls()).items():
            variable = f"BENCH_{name.upper()}"
            text = environment.get(variable, "").strip()
            if not text:
                continue
            try:
                if name == "only":
                    values[name] = tuple(part.strip() for part in text.split(","))
                elif name == "rates":
                    values[name] = tuple(float(part) for part in text.split(","))
                else:
                    values[name] = type(default)(text)
            except ValueError:
                raise Unclear(f"{variable} is {text!r}") from None
        settings = cls(**values)  # type: ignore[arg-type]
        if unknown := set(settings.only) - set(STAGES):
            raise Unclear(f"BENCH_ONLY names {', '.join(sorted(unknown))}; stages are {', '.join(STAGES)}")
        return settings

    def wants(self, *stages: str) -> bool:
        """Whether any of these stages is to be measured."""
        if self.only:
            return any(stage in self.only for stage in stages)
        return any(stage not in OFF_BY_DEFAULT or (stage == "soak" and self.soak_seconds > 0) for stage in stages)

    @property
    def processes(self) -> dict[str, int]:
        """SCALE as a dictionary."""
        pairs = (part.partition("=") for part in self.scale.split(",") if part)
        return {kind.strip(): int(count) for kind, _, count in pairs}
