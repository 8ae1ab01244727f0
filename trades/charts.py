"""Draw charts on the server: lines as SVG paths, which any browser shows without a script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

WIDTH, HEIGHT = 760, 240
SPARK_WIDTH, SPARK_HEIGHT, SPARK_POINTS = 96, 32, 32
PADDING = 4

Place = tuple[float, Decimal]


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over time, compared with `base`: above it is a gain.

    Each of the `points` has its moment (epoch seconds), the amount to show (USD), the change from the base (a ratio),
    and its position. `second` is a second line on the same scale, or empty.
    """

    line: str
    area: str
    second: str
    reference_y: Decimal
    points: list[tuple[int, str, str, float, Decimal]]
    low: Decimal
    high: Decimal
    base: Decimal
    last: Decimal
    begins: datetime
    ends: datetime
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def points_json(self) -> str:
        """The points as JSON for the page's script: numbers only."""
        return "[" + ",".join(f"[{','.join(map(str, point))}]" for point in self.points) + "]"

    @property
    def change(self) -> Decimal:
        return self.last - self.base


@dataclass(frozen=True, slots=True)
class Course:
    """What a chart shows: values at moments.

    Attributes:
        axis: The first and last moment drawn; None: the points are spaced evenly.
        amounts: The amount to show at each moment, USD.
        changes: The change from the base at each moment, as a ratio.
        second: The values of a second line.
    """

    moments: Sequence[datetime]
    values: Sequence[Decimal]
    base: Decimal
    axis: tuple[datetime, datetime] | None
    amounts: Sequence[Decimal]
    changes: Sequence[Decimal]
    second: Sequence[Decimal] = ()


def draw(course: Course) -> Chart | None:
    """Return the chart of a course, with a horizontal line at its base; None if it has fewer than two points."""
    values, second = course.values, course.second
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    bottom, top = min(low, course.base, *second), max(high, course.base, *second)
    across = _across(course)
    places = [(x, _height(value, bottom, top, HEIGHT)) for x, value in zip(across, values, strict=True)]
    line = _path(places)
    begins, ends = course.axis or (course.moments[0], course.moments[-1])
    return Chart(
        line=line,
        area=f"{line}L{places[-1][0]:.1f} {HEIGHT}L{places[0][0]:.1f} {HEIGHT}Z",
        second=_path([(x, _height(value, bottom, top, HEIGHT)) for x, value in zip(across, second, strict=False)])
        if second
        else "",
        reference_y=round(_height(course.base, bottom, top, HEIGHT), 1),
        points=[
            (
                int(moment.timestamp()),
                f"{amount:.2f}",
                f"{change:.6f}",
                round(x / WIDTH, 4),
                round(y / HEIGHT, 4),
            )
            for moment, amount, change, (x, y) in zip(
                course.moments, course.amounts, course.changes, places, strict=True
            )
        ],
        low=low,
        high=high,
        base=course.base,
        last=values[-1],
        begins=begins,
        ends=ends,
    )


def _across(course: Course) -> list[float]:
    if course.axis is None:
        return [number / (len(course.moments) - 1) * WIDTH for number in range(len(course.moments))]
    begin, end = (moment.timestamp() for moment in course.axis)
    return [(moment.timestamp() - begin) / ((end - begin) or 1) * WIDTH for moment in course.moments]


def time_weighted(values: Sequence[Decimal], flows: Sequence[tuple[Decimal, Decimal]]) -> list[Decimal]:
    """Return the time-weighted return until each moment, as ratios; the first is 0.

    Between two moments, inflows count from the beginning and outflows until the end, so that neither is a gain or loss.

    Args:
        values: The value of the account at each moment, USD.
        flows: The inflow and the outflow (both positive, USD) between each moment and the one before it.
    """
    growth = Decimal(1)
    returns = [Decimal(0)]
    for (before, after), (came_in, went_out) in zip(pairwise(values), flows[1:], strict=True):
        if invested := before + came_in:
            growth *= (after + went_out) / invested
        returns.append(growth - 1)
    return returns


def sparkline(values: Sequence[Decimal]) -> str:
    """Return the path of a small chart; empty if there is nothing to draw."""
    if len(values) < 2:
        return ""
    few = [values[round(n * (len(values) - 1) / (SPARK_POINTS - 1))] for n in range(SPARK_POINTS)]
    low, high = min(few), max(few)
    return _path(
        [(n * SPARK_WIDTH / (SPARK_POINTS - 1), _height(value, low, high, SPARK_HEIGHT)) for n, value in enumerate(few)]
    )


def _height(value: Decimal, low: Decimal, high: Decimal, height: int) -> Decimal:
    if high == low:
        return Decimal(height) / 2
    return PADDING + (high - value) / (high - low) * (height - 2 * PADDING)


def _path(places: Sequence[Place]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
