"""How money and moments are written: `"1234.5000"` and `"2026-11-22T14:30:00.000000Z"`.

Inside, money is a whole number of 1/10,000 USD and a moment is a whole number of microseconds since 1970, UTC.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

UNITS_PER_DOLLAR = 10_000
SECOND = 1_000_000

_MONEY = re.compile(r"(\d{1,15})(?:\.(\d{1,4}))?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """The moment that it is."""
    return time.time_ns() // 1000


def money(units: int) -> str:
    """`12345000` as `"1234.5000"`."""
    if units < 0:
        return "-" + money(-units)
    return f"{units // UNITS_PER_DOLLAR}.{units % UNITS_PER_DOLLAR:04d}"


def parse_money(text: object) -> int:
    """Units of a decimal string with up to 15 digits before and 4 after the point, zero or more.

    Raises ValueError, with words for the caller, for anything else.
    """
    match = _MONEY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            'must be a decimal string such as "1234.5000", not negative, with at most 4 digits after the point'
        )
    whole, part = match.groups()
    return int(whole) * UNITS_PER_DOLLAR + int((part or "").ljust(4, "0"))


def rfc3339(moment: int) -> str:
    """A moment as RFC 3339 text, UTC, with microseconds."""
    seconds, micros = divmod(moment, SECOND)
    return f"{_to_the_second(seconds)}.{micros:06d}Z"


def to_datetime(moment: int) -> datetime:
    """A moment as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=moment)


def from_datetime(when: datetime) -> int:
    """The moment of an aware datetime."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def parse_moment(text: object) -> int:
    """The moment that an RFC 3339 text with an offset names; digits beyond microseconds are cut off.

    Raises ValueError, with words for the caller, for anything else.
    """
    if isinstance(text, str) and _MOMENT.fullmatch(text):
        try:
            return from_datetime(datetime.fromisoformat(text.upper()))
        except (ValueError, OverflowError):
            pass
    raise ValueError('must be an RFC 3339 time with an offset, such as "2026-11-22T14:30:00.000000Z"')


_latest: tuple[int, str] = (0, "1970-01-01T00:00:00")


def _to_the_second(seconds: int) -> str:
    global _latest
    latest = _latest
    if latest[0] != seconds:
        text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
        latest = _latest = (seconds, text.rjust(19, "0"))
    return latest[1]
