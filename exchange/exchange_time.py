"""The exchange's clock, as its answers report it.

Times that the exchange enforces, such as `expiresAt`, are set and checked by its own clock, never by ours: hosts'
clocks drift, and after a failover the database's clock may be an hour off. Between two answers, the process's monotonic
clock advances the time from the last answer, even if the time of day is changed.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Reading:
    """The exchange's time in an answer, and the process's monotonic clock (seconds) when the answer arrived."""

    at: datetime
    received_at: float


_last: Reading | None = None


def note(at: datetime) -> None:
    """Remember the exchange's time from an answer that has just arrived."""
    global _last
    _last = Reading(at, time.monotonic())


def now() -> datetime | None:
    """Return the exchange's time, or None before its first answer.

    The exchange's own clock is never behind the returned time, unless it was set back since the last answer, because
    the time that the answer took to arrive is not added.
    """
    reading = _last
    return None if reading is None else reading.at + timedelta(seconds=time.monotonic() - reading.received_at)


def age_seconds() -> float:
    """Return the age in seconds of the last answer; infinity before the first one."""
    reading = _last
    return float("inf") if reading is None else time.monotonic() - reading.received_at


def forget() -> None:
    """Forget the exchange's time, as in a process that has just started."""
    global _last
    _last = None
