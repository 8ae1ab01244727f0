"""The periods of charts, and the moments that a chart shows: only market hours, unless the exchange never closes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from django.utils import timezone

from exchange import calendar, market
from exchange.calendar import Session

POINTS = 96  # the approximate number of points in a chart
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
DAY_SECONDS = 86_400
SESSION_STEP_SECONDS = 300
SESSION_STEPS_SECONDS = (900, 1800, 3600, 7200)  # for periods of several sessions
# Of a chart around the clock. Longer steps are whole days. Few different steps, so that charts share their prices.
STEPS_SECONDS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800)


@dataclass(frozen=True, slots=True)
class Period:
    """A period of time that ends now. With length None, it began when the account did."""

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
        Period("1Y", "past year", YEAR),
        Period("ALL", "all time", None),
    )
}


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """The moments of a chart, in order. The last one is now, or the close of the session that a day's chart shows.

    `step_seconds` is the time between two prices. `axis` is the first and the last moment of the x axis; None: the
    moments are spaced evenly. `begins_with_account`: there was nothing to show at the beginning of the period.
    """

    moments: list[datetime]
    step_seconds: int
    axis: tuple[datetime, datetime] | None
    begins_with_account: bool


def last_session(now: datetime) -> Session | None:
    """Return the current session, or the previous one if the market is closed; None if the exchange never closes."""
    opened = calendar.sessions_opened(now) if market.has_trading_hours() else []
    return opened[-1] if opened else None


def day_label() -> str:
    """Return what a page calls the day that a change refers to: "today", "on Fri, Nov 27", or "past 24 hours"."""
    session = last_session(timezone.now())
    if session is None:
        return "past 24 hours"
    return "today" if session.day == calendar.today() else f"on {session.day:%a}, {session.day:%b} {session.day.day}"


def day_grid() -> TimeGrid:
    """Return the moments of a stock's one-day chart."""
    now = timezone.now()
    return time_grid_of(PERIODS["1D"], now - calendar.LOOK_BACK, now)


def time_grid_of(period: Period, opened: datetime, now: datetime) -> TimeGrid:
    """Return the moments of a chart over a period.

    Args:
        period: The period.
        opened: The first moment for which there is something to show.
        now: The end of the period.
    """
    is_day = period.name == "1D"
    session = last_session(now)
    if session and is_day:
        return _session_grid(session, opened, now)
    start = now - period.length if period.length else opened
    if session:
        return _multi_session_grid(start, opened, now)
    step = _step((now - max(start, opened)).total_seconds())
    # The exchange's bars begin at multiples of the step, so a chart at these moments has the exact prices.
    whole = ceil(opened.timestamp() / step) if opened > start else int(start.timestamp() // step)
    moments = _multiples_of_step(whole * step, now, step)
    return TimeGrid([*moments, now], min(step, DAY_SECONDS), (moments[0] if moments else now, now), opened >= start)


def _session_grid(session: Session, opened: datetime, now: datetime) -> TimeGrid:
    opens, closes = session.opens_at.astimezone(UTC), session.closes_at.astimezone(UTC)
    end = min(now, closes)
    first = ceil(max(opens, opened).timestamp() / SESSION_STEP_SECONDS) * SESSION_STEP_SECONDS
    moments = _multiples_of_step(first, end, SESSION_STEP_SECONDS)
    return TimeGrid([*moments, end if moments else now], SESSION_STEP_SECONDS, (opens, closes), opened > opens)


def _multi_session_grid(start: datetime, opened: datetime, now: datetime) -> TimeGrid:
    begins_with_account, start = opened >= start, max(start, opened)
    sessions = calendar.sessions(calendar.eastern_date(start), calendar.eastern_date(now))
    for step in SESSION_STEPS_SECONDS:
        moments = [
            moment
            for session in sessions
            for moment in _multiples_of_step(
                ceil(max(session.opens_at, start).timestamp() / step) * step, min(session.closes_at, now), step
            )
        ]
        if len(moments) <= POINTS:
            return TimeGrid([*moments, now], step, None, begins_with_account)
    opens = [session.opens_at.astimezone(UTC) for session in sessions if start <= session.opens_at < now]
    return TimeGrid([*opens[:: ceil(len(opens) / POINTS)], now], DAY_SECONDS, None, begins_with_account)


def _multiples_of_step(first: int, end: datetime, step: int) -> list[datetime]:
    return [datetime.fromtimestamp(at, UTC) for at in range(first, ceil(end.timestamp()), step)]


def _step(span_seconds: float) -> int:
    """Return the seconds between two moments of a chart of this length."""
    shortest = span_seconds / POINTS
    return next((step for step in STEPS_SECONDS if step >= shortest), ceil(shortest / DAY_SECONDS) * DAY_SECONDS)
