"""Faults that the exchange takes on while it runs. They last until they are cleared or the process ends."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

#: Name -> the greatest number of milliseconds.
DURATIONS = {"latencyMs": 3_600_000, "callbackDelayMs": 3_600_000, "holdAnswerMs": 600_000}

#: Names of probabilities, 0 to 1.
RATES = (
    "executeErrorRate",
    "executeNoAnswerRate",
    "executeLostRate",
    "callbackDropRate",
    "callbackDuplicateRate",
    "randomErrorRate",
    "contradictRate",
    "breakTermsRate",
)
SWITCHES = ("down", "latencyJitter")


class InvalidFaults(ValueError):
    """Faults that can't be taken. `errors` says what is wrong with which field; nothing was changed."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(errors)
        self.errors = errors


class Faults:
    """The faults in force, and the dice that decide whom they meet."""

    def __init__(self, latency_ms: int) -> None:
        self._latency_ms = latency_ms
        self.clear()

    def clear(self) -> None:
        """Back to no faults and to dice without a seed. Repeating it changes nothing."""
        self._values: dict[str, Any] = dict.fromkeys(DURATIONS, 0)
        self._values |= dict.fromkeys(RATES, 0.0)
        self._values |= dict.fromkeys(SWITCHES, False)
        self._values |= {"seed": None, "latencyMs": self._latency_ms}
        self._dice = random.Random()

    def set(self, changes: Mapping[str, object]) -> None:
        """Merge changes into what is in force; `seed` restarts the dice. All or nothing; raises InvalidFaults."""
        errors = [
            {"field": name, "code": code, "detail": detail}
            for name, value in changes.items()
            if (wrong := _wrong(name, value)) is not None
            for code, detail in [wrong]
        ]
        if errors:
            raise InvalidFaults(errors)
        self._values |= changes
        if "seed" in changes:
            self._dice = random.Random(self._values["seed"])

    def as_json(self) -> dict[str, Any]:
        """All faults by name, those not in force too."""
        return dict(self._values)

    def happens(self, rate_name: str) -> bool:
        """Throw the dice for one of the rates."""
        rate = self._values[rate_name]
        return bool(rate) and self._dice.random() < rate

    def duration(self, name: str) -> int:
        """One of the durations, in microseconds."""
        return int(self._values[name] * 1000)

    def latency(self) -> int:
        """Microseconds from the arrival of a trade until it is executed."""
        whole = self.duration("latencyMs")
        return self._dice.randint(0, whole) if self._values["latencyJitter"] else whole

    @property
    def down(self) -> bool:
        return bool(self._values["down"])


def _wrong(name: str, value: object) -> tuple[str, str] | None:
    """Code and words for what is wrong with a fault's value, or None."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in DURATIONS:
        most = DURATIONS[name]
        if not number or not 0 <= value <= most:  # type: ignore[operator]
            return "invalid", f"must be a number of milliseconds from 0 to {most}"
    elif name in RATES:
        if not number or not 0 <= value <= 1:  # type: ignore[operator]
            return "invalid", "must be a number from 0 to 1"
    elif name in SWITCHES:
        if not isinstance(value, bool):
            return "invalid", "must be true or false"
    elif name == "seed":
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            return "invalid", "must be a whole number or null"
    else:
        return "unknown_field", "is not a fault that this exchange knows"
    return None
