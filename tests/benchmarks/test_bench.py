"""The benchmark runs at a small scale, and its output can be plotted and tabulated."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plot import draw
from benchmarks.results import markdown

PROJECT = Path(__file__).parents[2]
STAGES = "limit,placed,settled,slow,latency,lone"
SECONDS_MAX = 900


@pytest.fixture
def folder() -> Iterator[Path]:
    """Create a folder for the whole brokerage, as the stories do."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-story-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.story
def test_every_stage_is_measured_and_the_audit_passes(folder: Path) -> None:
    options = {
        "RUNS": "1",
        "SECONDS": "1",
        "WARM_UP_SECONDS": "1",
        "CUSTOMERS": "200",
        "RATES": "20,40",
        "FRACTIONS": "0.5",
        "ONLY": STAGES,
    }
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "BROKER_URL"}}
    environment |= {f"BENCH_{name}": value for name, value in options.items()} | {"TMPDIR": str(folder)}
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    assert result["ok"]
    assert result["audit"]["ok"]
    assert result["audit"]["trades"] > 200 * 4
    assert result["ratio"] > 0
    for stage in ("limit", "placed", "settled", "slow"):
        assert result[stage]["tradesPerSecond"] > 0
        assert result[stage]["cpuMs"]["total"] > 0
    assert [row["rate"] for row in result["latency"]][:2] == [20, 40]
    assert result["lone"]["trades"] > 0
    assert {goal["goal"] for goal in result["goals"]} >= {"settled / bare limit", "a single trade final, p50, ms"}
    assert list(folder.glob("brokerage-bench-*")) == []  # the temporary folder is removed
    assert any(line.startswith("| settled, end to end |") for line in markdown(result))
    assert ElementTree.fromstring(draw(result)).tag.endswith("svg")  # noqa: S314 (our own)
