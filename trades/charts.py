"""Charts, drawn here: lines as SVG paths, which any browser shows without a script."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

WIDTH, HEIGHT = 760, 240
SPARK_WIDTH, SPARK_HEIGHT, SPARK_POINTS = 96, 32, 32
PADDING = 4


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over time. `points`: moment (epoch seconds) and value (USD), for who asks for one by pointing at it."""

    line: str
    area: str
    reference_y: Decimal
    points: list[tuple[int, str]]
    low: Decimal
    high: Decimal
    first: Decimal
    last: Decimal
    begins: datetime
    ends: datetime
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def points_json(self) -> str:
        """The points as a script reads them."""
        return json.dumps(self.points, separators=(",", ":"))

    @property
    def change(self) -> Decimal:
        return self.last - self.first


def draw(moments: Sequence[datetime], values: Sequence[Decimal]) -> Chart | None:
    """The chart of these values, with a line across at the first one. None where there are fewer than two."""
    if len(values) < 2:
        return None
    at = [moment.timestamp() for moment in moments]
    span = at[-1] - at[0] or 1
    low, high = min(values), max(values)
    places = [
        ((x - at[0]) / span * WIDTH, _height(value, low, high, HEIGHT)) for x, value in zip(at, values, strict=True)
    ]
    line = _path(places)
    return Chart(
        line=line,
        area=f"{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z",
        reference_y=round(_height(values[0], low, high, HEIGHT), 1),
        points=[(int(x), f"{value:.2f}") for x, value in zip(at, values, strict=True)],
        low=low,
        high=high,
        first=values[0],
        last=values[-1],
        begins=moments[0],
        ends=moments[-1],
    )


def sparkline(values: Sequence[Decimal]) -> str:
    """The path of a small chart; empty where there is nothing to draw."""
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


def _path(places: Sequence[tuple[float, Decimal]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
