"""The periods of charts, and the moments that a chart shows: in market hours only, where the exchange keeps hours."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from django.utils import timezone

from exchange import calendar, market
from exchange.calendar import Session

POINTS = 96  # of a chart, about
DAY = timedelta(days=1)
DAY_SECONDS = 86_400
DAYS_BACK = 10  # no run of closed days is longer
SESSION_STEP_SECONDS = 300
SESSION_STEPS_SECONDS = (900, 1800, 3600, 7200)  # for periods of several sessions
QUARTER_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Period:
    """A period of time that ends now. length None: since the beginning."""

    name: str
    words: str
    length: timedelta | None


PERIODS = {
    period.name: period
    for period in (
        Period("1D", "today", DAY),
        Period("1W", "past week", timedelta(days=7)),
        Period("1M", "past month", timedelta(days=30)),
        Period("3M", "past 3 months", timedelta(days=91)),
        Period("1Y", "past year", timedelta(days=365)),
        Period("ALL", "all time", None),
    )
}


@dataclass(frozen=True, slots=True)
class Grid:
    """The moments of a chart, in order; the last one is now, or the close of the session that a day's chart shows.

    `step_seconds` is the step of the prices for it. `axis` is from when to when it is drawn; None: moments lie evenly.
    """

    moments: list[datetime]
    step_seconds: int
    axis: tuple[datetime, datetime] | None


def keeps_hours() -> bool:
    """Return whether the exchange opens and closes."""
    clock = market.clock()
    return clock is not None and clock["hours"] != "always"


def last_session(now: datetime) -> Session | None:
    """Return the session that is under way, or else the last one before; None: the exchange never closes."""
    if not keeps_hours():
        return None
    today = calendar.eastern_date(now)
    opened = [one for one in calendar.sessions(today - timedelta(days=DAYS_BACK), today) if one.opens_at <= now]
    return opened[-1] if opened else None


def day_words() -> str:
    """Return what a day's change is of: "today", or the day of the last session, or "past 24 hours"."""
    session = last_session(timezone.now())
    if session is None:
        return "past 24 hours"
    return "today" if session.day == calendar.today() else f"on {session.day:%a}, {session.day:%b} {session.day.day}"


def day_grid() -> Grid:
    """Return the moments of a day's chart of a stock."""
    now = timezone.now()
    return grid(PERIODS["1D"], now - 2 * DAY * DAYS_BACK, now)


def grid(period: Period, opened: datetime, now: datetime) -> Grid:
    """Return the moments of a chart over a period.

    Args:
        opened: When there was first anything to show.
    """
    is_day = period.name == "1D"
    session = last_session(now)
    if session and is_day:
        return _of_session(session, opened, now)
    start = now - period.length if period.length else opened
    if session:
        return _of_sessions(max(start, opened), now)
    step = _step((now - max(start, opened)).total_seconds())
    # Multiples of the step, where the exchange's bars begin: so a chart's prices are those at its moments.
    whole = ceil(opened.timestamp() / step) if opened > start else int(start.timestamp() // step)
    moments = _multiples(whole * step, now, step)
    return Grid([*moments, now], step, (moments[0] if moments else now, now))


def _of_session(session: Session, opened: datetime, now: datetime) -> Grid:
    opens, closes = session.opens_at.astimezone(UTC), session.closes_at.astimezone(UTC)
    end = min(now, closes)
    first = ceil(max(opens, opened).timestamp() / SESSION_STEP_SECONDS) * SESSION_STEP_SECONDS
    moments = _multiples(first, end, SESSION_STEP_SECONDS)
    return Grid([*moments, end if moments else now], SESSION_STEP_SECONDS, (opens, closes))


def _of_sessions(start: datetime, now: datetime) -> Grid:
    sessions = calendar.sessions(calendar.eastern_date(start), calendar.eastern_date(now))
    for step in SESSION_STEPS_SECONDS:
        moments = [
            moment
            for session in sessions
            for moment in _multiples(
                ceil(max(session.opens_at, start).timestamp() / step) * step, min(session.closes_at, now), step
            )
        ]
        if len(moments) <= POINTS:
            return Grid([*moments, now], step, None)
    opens = [session.opens_at.astimezone(UTC) for session in sessions if start <= session.opens_at < now]
    return Grid([*opens[:: ceil(len(opens) / POINTS)], now], DAY_SECONDS, None)


def _multiples(first: int, end: datetime, step: int) -> list[datetime]:
    return [datetime.fromtimestamp(at, UTC) for at in range(first, ceil(end.timestamp()), step)]


def _step(span_seconds: float) -> int:
    """Return the seconds between two moments of a chart of so long; whole quarters of an hour where it is long."""
    step = max(1, ceil(span_seconds / POINTS))
    return ceil(step / QUARTER_SECONDS) * QUARTER_SECONDS if step > QUARTER_SECONDS / 2 else step
