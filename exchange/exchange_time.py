"""The exchange's clock, as its answers tell it.

What the exchange enforces by time, such as `expiresAt`, is set and judged by its own clock and never by ours: clocks of
hosts drift apart, and a failover may bring a database whose clock is an hour off. Between two answers the process's
monotonic clock goes on from the last one, whatever happens to the time of day.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Reading:
    """The exchange's time in an answer, and the process's monotonic clock when the answer was there, in seconds."""

    at: datetime
    heard: float


_last: Reading | None = None


def note(at: datetime) -> None:
    """Note the time that the exchange has just told in an answer."""
    global _last
    _last = Reading(at, time.monotonic())


def now() -> datetime | None:
    """Return the exchange's time, or None before its first answer.

    The exchange is never behind the returned time by its own clock, unless that clock was set back since the last
    answer: the time that an answer takes on its way counts for nothing.
    """
    reading = _last
    return None if reading is None else reading.at + timedelta(seconds=time.monotonic() - reading.heard)


def age_seconds() -> float:
    """Return how long ago the exchange last told its time, in seconds; infinity before its first answer."""
    reading = _last
    return float("inf") if reading is None else time.monotonic() - reading.heard


def forget() -> None:
    """Forget what the exchange told, as in a process that has just started."""
    global _last
    _last = None
