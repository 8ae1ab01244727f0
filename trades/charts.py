"""Draw charts on the server, as SVG paths that any browser shows without a script."""

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
    """A line chart over time. Values above `base` are a gain, values below it a loss.

    Each of the `points` is a moment (epoch seconds), the amount to show (USD), the change from the base (a ratio), and
    its x and y. `second` is a second line on the same scale, or empty.
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
        """The points as JSON for the page's script; it contains only numbers."""
        return "[" + ",".join(f"[{','.join(map(str, point))}]" for point in self.points) + "]"

    @property
    def change(self) -> Decimal:
        return self.last - self.base


@dataclass(frozen=True, slots=True)
class Series:
    """The values that a chart shows, each with its moment.

    Attributes:
        axis: The first and the last moment of the x axis. None: the points are spaced evenly.
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


def draw(series: Series) -> Chart | None:
    """Return the chart of a series, with a horizontal line at its base; None if it has fewer than two points."""
    values, second = series.values, series.second
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    bottom, top = min(low, series.base, *second), max(high, series.base, *second)
    x_positions = _across(series)
    points = [(x, _height(value, bottom, top, HEIGHT)) for x, value in zip(x_positions, values, strict=True)]
    line = _path(points)
    begins, ends = series.axis or (series.moments[0], series.moments[-1])
    return Chart(
        line=line,
        area=f"{line}L{points[-1][0]:.1f} {HEIGHT}L{points[0][0]:.1f} {HEIGHT}Z",
        second=_path([(x, _height(value, bottom, top, HEIGHT)) for x, value in zip(x_positions, second, strict=False)])
        if second
        else "",
        reference_y=round(_height(series.base, bottom, top, HEIGHT), 1),
        points=[
            (
                int(moment.timestamp()),
                f"{amount:.2f}",
                f"{change:.6f}",
                round(x / WIDTH, 4),
                round(y / HEIGHT, 4),
            )
            for moment, amount, change, (x, y) in zip(
                series.moments, series.amounts, series.changes, points, strict=True
            )
        ],
        low=low,
        high=high,
        base=series.base,
        last=values[-1],
        begins=begins,
        ends=ends,
    )


def _across(series: Series) -> list[float]:
    if series.axis is None:
        return [number / (len(series.moments) - 1) * WIDTH for number in range(len(series.moments))]
    begin, end = (moment.timestamp() for moment in series.axis)
    return [(moment.timestamp() - begin) / ((end - begin) or 1) * WIDTH for moment in series.moments]


def time_weighted(values: Sequence[Decimal], flows: Sequence[tuple[Decimal, Decimal]]) -> list[Decimal]:
    """Return the time-weighted return up to each moment, as ratios; the first is 0.

    Between two moments, inflows count from the start and outflows until the end, so that neither is a gain or a loss.

    Args:
        values: The value of the account at each moment, USD.
        flows: The inflow and the outflow (both positive, USD) between each moment and the one before it.
    """
    growth = Decimal(1)
    returns = [Decimal(0)]
    for (before, after), (inflow, outflow) in zip(pairwise(values), flows[1:], strict=True):
        if invested := before + inflow:
            growth *= (after + outflow) / invested
        returns.append(growth - 1)
    return returns


def sparkline(values: Sequence[Decimal]) -> str:
    """Return the path of a small chart; empty if there is nothing to draw."""
    if len(values) < 2:
        return ""
    sampled = [values[round(position * (len(values) - 1) / (SPARK_POINTS - 1))] for position in range(SPARK_POINTS)]
    low, high = min(sampled), max(sampled)
    return _path(
        [
            (position * SPARK_WIDTH / (SPARK_POINTS - 1), _height(value, low, high, SPARK_HEIGHT))
            for position, value in enumerate(sampled)
        ]
    )


def _height(value: Decimal, low: Decimal, high: Decimal, height: int) -> Decimal:
    if high == low:
        return Decimal(height) / 2
    return PADDING + (high - value) / (high - low) * (height - 2 * PADDING)


def _path(points: Sequence[Place]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
