"""`python -m benchmarks.plot result.json docs/latency.svg`: plots latency against load from a benchmark result.

The file may be the output of `make bench`: the last line that is a JSON object is used.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import read

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 64, 56
LINES = (
    # name, where in a row, class
    ("placed to final, p99", ("final", "p99"), "final"),
    ("placed to final, p50", ("final", "p50"), "final half"),
    ("placing, p99", ("placing", "p99"), "placing"),
)
STYLE = """
    svg { font: 13px system-ui, sans-serif; background: #fff; color: #1b1f24 }
    text { fill: currentColor } .faint { fill: #57606a } .grid { stroke: #d0d7de } path { fill: none; stroke-width: 2 }
    .final { stroke: #0550ae } .placing { stroke: #b35900 } .half { stroke-dasharray: 6 4 }
    circle.final { fill: #0550ae } circle.placing { fill: #b35900 } circle { stroke: none !important }
    @media (prefers-color-scheme: dark) {
        svg { background: #0d1117; color: #e6edf3 } .faint { fill: #9da7b3 } .grid { stroke: #30363d }
        .final { stroke: #6cb6ff } .placing { stroke: #f0a050 }
        circle.final { fill: #6cb6ff } circle.placing { fill: #f0a050 }
    }
"""


class NothingToDraw(Exception):
    """The result has latencies for fewer than two loads."""


def draw(result: dict[str, Any]) -> str:
    """Return the plot as SVG. Raises NothingToDraw."""
    rows = sorted(result.get("latency", []), key=lambda row: row["rate"])
    if len(rows) < 2:
        raise NothingToDraw("the result needs latencies for at least two loads: run the stage `latency`")
    return "\n".join(_parts(rows, result.get("machine", {}))) + "\n"


def _parts(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> Iterator[str]:
    highest_rate = rows[-1]["rate"]
    decades = range(
        math.floor(math.log10(min(_at(row, path) for row in rows for _, path, _ in LINES))),
        math.ceil(math.log10(max(_at(row, path) for row in rows for _, path, _ in LINES))) + 1,
    )

    def x(rate: float) -> float:
        return float(round(LEFT + (WIDTH - LEFT - RIGHT) * rate / highest_rate, 1))

    def y(ms: float) -> float:
        part = (math.log10(ms) - decades[0]) / (decades[-1] - decades[0])
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part, 1)

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title">'
        f'<title id="title">Latency against load</title><style>{STYLE}</style>'
    )
    machine_facts = [
        f"{machine.get('cores')} cores",
        machine.get("processor"),
        machine.get("commit"),
        machine.get("at"),
    ]
    yield f'<text class="faint" x="{LEFT}" y="22">{", ".join(str(part) for part in machine_facts if part)}</text>'
    for decade in decades:
        yield f'<path class="grid" d="M{LEFT} {y(10**decade)}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y(10**decade) + 4}" text-anchor="end">{10.0**decade:g}</text>'
    step = 10 ** math.floor(math.log10(highest_rate)) / (
        1 if highest_rate >= 5 * 10 ** math.floor(math.log10(highest_rate)) else 4
    )
    for number in range(int(highest_rate / step) + 1):
        yield f'<text x="{x(number * step)}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{number * step:g}</text>'
    yield f'<text class="faint" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">trades/s</text>'
    vertical = f'transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle"'
    yield f'<text class="faint" {vertical}>latency, ms (logarithmic)</text>'
    for number, (name, path, kind) in enumerate(LINES):
        points = [(x(row["rate"]), y(_at(row, path))) for row in rows]
        yield f'<path class="{kind}" d="M{"L".join(f"{left} {top}" for left, top in points)}"/>'
        for (left, top), row in zip(points, rows, strict=True):
            value = f"{name} at {row['rate']:g} trades/s: {_at(row, path)} ms"
            yield f'<circle class="{kind}" cx="{left}" cy="{top}" r="3.5"><title>{value}</title></circle>'
        legend_x = LEFT + number * 200
        yield f'<path class="{kind}" d="M{legend_x} 40h28"/><text x="{legend_x + 34}" y="44">{name}</text>'
    yield "</svg>"


def _at(row: dict[str, Any], path: tuple[str, str]) -> float:
    return max(0.1, float(row[path[0]][path[1]]))


def main(result: str, drawing: str) -> int:
    """Write the plot; return 1 if there is nothing to draw."""
    try:
        Path(drawing).write_text(draw(read(Path(result))))
    except (OSError, ValueError, NothingToDraw) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
