"""The calendar of the New York Stock Exchange: trading days, their hours, and settlement dates.

The regular calendar follows the published rules of the New York Stock Exchange. Closures announced at short notice, by
the exchange or by staff, override it. All questions about days are answered here: clock, calendar, settlement, tickets.

Times of day are Eastern. Days before FIRST_DAY are not supported, because hours and half days were different.
"""

from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from django.db import Error

from exchange import regular_days
from exchange.models import Closure
from exchange.regular_days import FIRST_DAY, LAST_DAY
from web.cached import Cached
from web.timezones import EASTERN, eastern_date
from web.timezones import eastern_today as today

__all__ = ["FIRST_DAY", "LAST_DAY", "eastern_date", "today"]  # and everything below

OPENS, CLOSES, CLOSES_HALF_DAY = time(9, 30), time(16, 0), time(13, 0)
CLOSURES_AGE_SECONDS_MAX = 2.0
LOOK_AHEAD_DAYS = 30  # the exchange is never closed for longer
LOOK_BACK = timedelta(days=20)  # has at least five sessions, however many days the exchange was closed


class Session(NamedTuple):
    """One trading day. `closes` is the actual close, also on half days and after an announced early close."""

    day: date
    opens: time
    closes: time

    @property
    def opens_at(self) -> datetime:
        return datetime.combine(self.day, self.opens, EASTERN)

    @property
    def closes_at(self) -> datetime:
        return datetime.combine(self.day, self.closes, EASTERN)


def session(day: date) -> Session | None:
    """Return the session of a day; None if the market is closed or the day is not supported."""
    if not FIRST_DAY <= day <= LAST_DAY or day.weekday() >= 5:
        return None
    closed, halves = regular_days.closed_and_half_days(day.year)
    if day in closed:
        return None
    closes = CLOSES_HALF_DAY if day in halves else CLOSES
    if (closure := closure_on(day)) is not None:
        if closure.closes is None or closure.closes <= OPENS:
            return None
        closes = min(closes, closure.closes)
    return Session(day, OPENS, closes)


def sessions(first: date, last: date) -> list[Session]:
    """Return the sessions from `first` to `last` inclusive, in order. Days that are not supported have none."""
    first, last = max(first, FIRST_DAY), min(last, LAST_DAY)
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [found for day in days if (found := session(day)) is not None]


def sessions_opened(before: datetime) -> list[Session]:
    """Return the sessions that opened in the days of LOOK_BACK before a moment, in order."""
    day = eastern_date(before)
    return [found for found in sessions(day - LOOK_BACK, day) if found.opens_at < before]


def next_session(moment: datetime) -> Session | None:
    """Return the first session that opens after a moment."""
    day = eastern_date(moment)
    following = (session(day + timedelta(days=number)) for number in range(LOOK_AHEAD_DAYS))
    return next((found for found in following if found is not None and found.opens_at > moment), None)


def is_settlement_day(day: date) -> bool:
    """Return whether trades settle on a day: both the New York Stock Exchange and the Federal Reserve must be open.

    DTC settles in money that moves over Fedwire. On two Federal Reserve holidays the exchange is open: Columbus Day and
    Veterans Day.
    """
    return session(day) is not None and day not in regular_days.reserve_holidays(day.year)


def settlement_date(trade_date: date) -> date:
    """Return the settlement date of a trade with this trade date (Eastern).

    Raises:
        ValueError: The calendar does not support the date.
    """
    return regular_days.settlement_date(trade_date, is_settlement_day)


def closure_on(day: date) -> Closure | None:
    """Return the closure of a day, if any, as of at most CLOSURES_AGE_SECONDS_MAX ago. Staff override the exchange."""
    return _closures.get().get(day)


def closures() -> list[Closure]:
    """Return all closures in force, in order of their days."""
    return [closure for _, closure in sorted(_closures.get().items())]


def set_closure(day: date, closes: time | None, reason: str, *, by: str) -> Closure:
    """Enter a closure as staff: the market stays closed on a day (`closes` is None) or closes early.

    All processes apply it within CLOSURES_AGE_SECONDS_MAX. A `closes` at or after the regular close overrides an
    incorrect closure of the exchange.

    Idempotent: a later entry for the same day replaces the earlier one.
    """
    closure, _ = Closure.objects.update_or_create(
        day=day, source=Closure.Source.STAFF, defaults={"closes": closes, "reason": reason, "by": by}
    )
    expire()
    return closure


def remove_closure(day: date) -> bool:
    """Remove the staff's closure of a day and return whether there was one. The exchange's own closure stays."""
    count, _ = Closure.objects.filter(day=day, source=Closure.Source.STAFF).delete()
    expire()
    return count > 0


def expire() -> None:
    """Make the next access read the closures again."""
    _closures.expire()


def _read_closures() -> dict[date, Closure]:
    # If a day has two, the exchange's comes first, so that the staff's replaces it.
    return {closure.day: closure for closure in Closure.objects.order_by("day", "source")}


# Without an initial value: a thread must not date a settlement on a closed day while another one reads the closures.
_closures: Cached[dict[date, Closure]] = Cached(_read_closures, CLOSURES_AGE_SECONDS_MAX, stale_after=(Error,))
