"""The exchange's clock: the machine's time, moved by an offset that a tester sets."""

from __future__ import annotations

import time

from exchange.simulator.formats import SECOND

# How far the clock can be moved, forward or back: ten years.
OFFSET_SECONDS_MAX = 3653 * 86_400


class Clock:
    """The exchange's clock. Durations, such as latency and pauses, are measured with the machine's time instead."""

    def __init__(self, offset: int = 0) -> None:
        # By how many microseconds the exchange is ahead of the machine; negative: behind.
        self.offset = offset

    def now(self) -> int:
        """Return the exchange's time."""
        return machine_time() + self.offset

    @property
    def offset_seconds(self) -> float:
        return self.offset / SECOND


def machine_time() -> int:
    """Return the machine's time, which the offset doesn't change."""
    return time.time_ns() // 1000
