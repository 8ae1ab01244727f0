"""The exchange's clock: the machine's time, moved by an offset that a tester sets."""

from __future__ import annotations

import time

from exchange.simulator.formats import SECOND

# The clock can be moved so far either way: ten years.
OFFSET_SECONDS_MAX = 3653 * 86_400


class Clock:
    """Tells the exchange's time. What is measured in durations (latency, pauses) uses the machine's time instead."""

    def __init__(self, offset: int = 0) -> None:
        # Microseconds that the exchange is ahead of the machine; negative when it is behind.
        self.offset = offset

    def now(self) -> int:
        """The exchange's time."""
        return machine_time() + self.offset

    @property
    def offset_seconds(self) -> float:
        return self.offset / SECOND


def machine_time() -> int:
    """The machine's time, which no offset moves."""
    return time.time_ns() // 1000
