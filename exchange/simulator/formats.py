"""Format and parse money (`"1234.5000"`) and times (`"2026-11-22T14:30:00.000000Z"`).

In memory, money is a whole number of 1/10,000 USD ("units"), and a time is a whole number of microseconds since
1970-01-01 UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

UNITS_PER_DOLLAR = 10_000
SECOND = 1_000_000

_MONEY = re.compile(r"(\d{1,15})(?:\.(\d{1,4}))?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_money(units: int) -> str:
    """Format units as a decimal string: `12345000` is `"1234.5000"`."""
    if units < 0:
        return "-" + format_money(-units)
    return f"{units // UNITS_PER_DOLLAR}.{units % UNITS_PER_DOLLAR:04d}"


def parse_money(text: object) -> int:
    """Parse a decimal string, not negative, with up to 15 digits before the point and 4 after it.

    Returns:
        Units of 1/10,000 USD.

    Raises:
        ValueError: The text is anything else. The message is for the caller.
    """
    match = _MONEY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            'must be a decimal string such as "1234.5000", not negative, with at most 4 digits after the point'
        )
    whole, part = match.groups()
    return int(whole) * UNITS_PER_DOLLAR + int((part or "").ljust(4, "0"))


def format_time(time: int) -> str:
    """Format a time as RFC 3339, UTC, with microseconds."""
    seconds, micros = divmod(time, SECOND)
    return f"{_format_seconds(seconds)}.{micros:06d}Z"


def to_datetime(time: int) -> datetime:
    """Convert a time to an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=time)


def from_datetime(when: datetime) -> int:
    """Convert an aware datetime to a time."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def parse_time(text: object) -> int:
    """Parse an RFC 3339 time with an offset. Digits beyond microseconds are dropped.

    Raises:
        ValueError: The text is anything else. The message is for the caller.
    """
    if isinstance(text, str) and _TIME.fullmatch(text):
        try:
            return from_datetime(datetime.fromisoformat(text.upper()))
        except (ValueError, OverflowError):
            pass
    raise ValueError('must be an RFC 3339 time with an offset, such as "2026-11-22T14:30:00.000000Z"')


def parse_date(text: object) -> date:
    """Parse an ISO 8601 date from 1900 to 2100.

    Raises:
        ValueError: The text is anything else. The message is for the caller.
    """
    if isinstance(text, str) and _DATE.fullmatch(text) and "1900" <= text[:4] <= "2100":
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError('must be a date such as "2026-11-27", from 1900 to 2100')


@lru_cache(maxsize=4)
def _format_seconds(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
