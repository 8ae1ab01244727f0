"""The benchmark's settings, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

STAGES = (
    *("limit", "placed", "settled", "slow", "latency", "lone"),  # in every run
    *("footprint", "lanes", "start", "big", "peers", "soak", "bell", "lots", "readers", "proof", "disk"),  # once
)
OFF_BY_DEFAULT = {"soak", "bell", "lots", "readers", "proof", "disk"}


class InvalidSetting(Exception):
    """A variable has an invalid value; the message names it."""


@dataclass(frozen=True)
class Settings:
    """The settings; each is read from a variable BENCH_…"""

    runs: int = 3
    """RUNS: how often each main stage is measured; results are medians."""
    seconds: int = 60
    """SECONDS: length of the steady part of each stage."""
    warm_up_seconds: int = 5
    """WARM_UP_SECONDS: load before the steady part."""
    only: tuple[str, ...] = ()
    """ONLY: stages, separated by commas. Empty: all except soak."""
    rates: tuple[float, ...] = (30, 100, 300)
    """RATES: trades per second of the latency stages."""
    fractions: tuple[float, ...] = (0.5, 0.75, 0.9)
    """FRACTIONS of the maximum throughput, at which latency is measured too."""
    connections: int = 32
    """CONNECTIONS of the generator."""
    backlog: int = 256
    """BACKLOG: the most open trades in the throughput stages."""
    customers: int = 10_000
    """CUSTOMERS who trade."""
    scale: str = ""
    """SCALE: processes, such as web=1,lanes=2. Empty: one of each type."""
    soak_seconds: int = 0
    """SOAK_SECONDS. 0: no soak."""
    big_customers: int = 1_000_000
    """BIG_CUSTOMERS in the big tables."""
    big_trades: int = 10_000_000
    """BIG_TRADES: finished trades in the big tables."""
    queued: int = 200_000
    """QUEUED: trades that wait for the opening bell."""
    queued_customers: int = 100_000
    """QUEUED_CUSTOMERS who placed them."""
    old_trades: int = 1_000_000
    """OLD_TRADES whose lots are built."""
    old_customers: int = 50_000
    """OLD_CUSTOMERS who placed them."""

    readers: int = 200
    """READERS who look at pages beside the trades."""
    readers_rate: float = 300.0
    """READERS_RATE: trades per second beside the readers."""
    proof_trades: int = 200_000
    """PROOF_TRADES: finished trades that are loaded before the first proof."""
    proof_customers: int = 50_000
    """PROOF_CUSTOMERS who placed them."""
    proof_traders: int = 5_000
    """PROOF_TRADERS: how many of them trade on the day after."""

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Return the settings in the environment. Raises InvalidSetting."""
        values: dict[str, object] = {}
        for name, default in vars(cls()).items():
            variable = f"BENCH_{name.upper()}"
            text = environment.get(variable, "").strip()
            if not text:
                continue
            try:
                if name == "only":
                    values[name] = tuple(part.strip() for part in text.split(","))
                elif name in {"rates", "fractions"}:
                    values[name] = tuple(float(part) for part in text.split(","))
                else:
                    values[name] = type(default)(text)
            except ValueError:
                raise InvalidSetting(f"{variable} is {text!r}") from None
        settings = cls(**values)  # type: ignore[arg-type]
        if unknown := set(settings.only) - set(STAGES):
            raise InvalidSetting(f"BENCH_ONLY names {', '.join(sorted(unknown))}; stages are {', '.join(STAGES)}")
        return settings

    def wants(self, *stages: str) -> bool:
        """Return whether any of these stages is selected."""
        if self.only:
            return any(stage in self.only for stage in stages)
        return any(stage not in OFF_BY_DEFAULT or (stage == "soak" and self.soak_seconds > 0) for stage in stages)

    @property
    def processes(self) -> dict[str, int]:
        """SCALE as a dictionary."""
        pairs = (part.partition("=") for part in self.scale.split(",") if part)
        return {kind.strip(): int(count) for kind, _, count in pairs}
