"""One period of load: the generator is run, and what it and the brokerage did in the steady part is taken together."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks import processes
from benchmarks.database import Counters, Database, Final
from benchmarks.population import TICKERS
from benchmarks.processes import Spent

GENERATOR = Path(__file__).with_name("generator.py")
START_SECONDS = 0.5
"""From starting the generator to its first trade."""
LOOK_SECONDS = 0.025
"""How often the generator is told how many trades are open."""
TAIL_SECONDS_MAX = 60.0


class LoadFailed(Exception):
    """The load was not as ordered, so that what was measured means nothing."""


class Loaded(Protocol):
    """Who is loaded: the brokerage, or a peer of it."""

    folder: Path
    tokens_file: Path
    database: Database

    @property
    def addresses(self) -> list[tuple[str, int]]: ...

    def roots(self) -> dict[int, str]: ...

    def drain(self) -> float: ...

    def memory(self) -> dict[str, dict[str, float]]: ...


@dataclass(frozen=True)
class Answer:
    """What the generator saw of one trade; times are seconds since the epoch."""

    scheduled_at: float
    sent_at: float
    answered_at: float
    status: int
    trade_id: str


@dataclass(frozen=True)
class Period:
    """The steady part of a load, from `began_at` to `ended_at`."""

    began_at: float
    ended_at: float
    answers: list[Answer]
    finals: dict[str, Final]
    spent: Spent
    counters: tuple[Counters, Counters]
    open_trades: tuple[int, int]

    @property
    def seconds(self) -> float:
        return self.ended_at - self.began_at

    def _is_inside(self, moment: float) -> bool:
        return self.began_at <= moment < self.ended_at

    @property
    def placed(self) -> int:
        """Trades placed in it."""
        return sum(answer.status == 201 and self._is_inside(answer.answered_at) for answer in self.answers)

    @property
    def settled(self) -> int:
        """Trades that became final in it."""
        return sum(self._is_inside(final.final_at) for final in self.finals.values())

    def settled_by_second(self) -> list[int]:
        """The same for each of its whole seconds."""
        seconds = Counter(int(final.final_at - self.began_at) for final in self.finals.values())
        return [seconds[second] for second in range(int(self.seconds))]

    def statuses(self) -> dict[str, int]:
        """How many of the trades that became final in it ended in which way."""
        return dict(Counter(final.status for final in self.finals.values() if self._is_inside(final.final_at)))

    def placing_ms(self) -> list[float]:
        """From the moment when it was due until the answer, of the trades that were due in it."""
        return [
            1000 * (answer.answered_at - answer.scheduled_at)
            for answer in self.answers
            if self._is_inside(answer.scheduled_at)
        ]

    def final_ms(self, from_door: bool = False) -> list[float]:
        """From placed (`placed_at`), or from the moment when the placing was due, until the settlement's commit."""
        return [
            1000 * (final.final_at - (answer.scheduled_at if from_door else final.placed_at))
            for answer in self.answers
            if self._is_inside(answer.scheduled_at) and (final := self.finals.get(answer.trade_id))
        ]


def apply(
    house: Loaded,
    seconds: float,
    warm_up_seconds: float,
    connections: int,
    rate: float = 0.0,
    backlog_max: int = 0,
    even: bool = False,
    seed: int = 1,
    wait_for_finals: bool = True,
) -> Period:
    """Load it and wait until all of it is final. Raises LoadFailed."""
    answers_file = house.folder / "answers.json"
    start_at = time.time() + START_SECONDS
    order = {
        "addresses": house.addresses,
        "path": "/api/v1/trades",
        "tokens_file": str(house.tokens_file),
        "answers_file": str(answers_file),
        "tickers": TICKERS,
        "start_at": start_at,
        "seconds": warm_up_seconds + seconds,
        "connections": connections,
        "rate": rate,
        "even": even,
        "backlog_max": backlog_max,
        "seed": seed,
    }
    summary, before, after = _generate(house, order, start_at + warm_up_seconds, seconds)
    answers = [Answer(*values) for values in json.loads(answers_file.read_text())]
    answers_file.unlink()
    if wait_for_finals:
        house.drain()
    period = Period(
        began_at=before.cpu.at,
        ended_at=after.cpu.at,
        answers=answers,
        finals=house.database.finals(start_at - 60) if wait_for_finals else {},
        spent=Spent.between(before.cpu, after.cpu),
        counters=(before.counters, after.counters),
        open_trades=(before.open_trades, after.open_trades),
    )
    unexpected = Counter(answer.status for answer in answers if answer.status != 201)
    if unexpected or summary["unanswered"] or summary["broken"]:
        raise LoadFailed(f"not every trade was placed: {dict(unexpected)}, {summary}")
    return period


def _generate(house: Loaded, order: dict[str, Any], began_at: float, seconds: float) -> tuple[dict[str, Any], Any, Any]:
    """Run the generator; return its summary, and looks at the brokerage when the period began and ended."""
    generator = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GENERATOR)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert generator.stdin  # noqa: S101 (it is a pipe)
    try:
        generator.stdin.write(json.dumps(order).encode() + b"\n")
        generator.stdin.flush()
        roots = {**house.roots(), generator.pid: "generator"}
        paced = generator if order["backlog_max"] else None
        _wait_until(began_at, house, paced)
        before = _look(house, roots)
        _wait_until(began_at + seconds, house, paced)
        after = _look(house, roots)
        said, _ = generator.communicate(timeout=TAIL_SECONDS_MAX)
    except BaseException:
        generator.kill()
        generator.wait()
        raise
    if generator.returncode:
        raise LoadFailed(f"the generator ended with {generator.returncode}")
    return json.loads(said), before, after


def latency(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and p99.9 in milliseconds."""
    ordered = sorted(milliseconds)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {
        "p50": round(ordered[int(last * 0.5)], 2),
        "p99": round(ordered[int(last * 0.99)], 2),
        "p99.9": round(ordered[int(last * 0.999)], 2),
        "max": round(ordered[-1], 2),
    }


@dataclass(frozen=True)
class _Seen:
    cpu: processes.Snapshot
    counters: Counters
    open_trades: int


def _look(house: Loaded, roots: dict[int, str]) -> _Seen:
    return _Seen(processes.snapshot(roots), house.database.counters(), house.database.open_trades())


def _wait_until(moment: float, house: Loaded, told: subprocess.Popen[Any] | None) -> None:
    """Sleep; `told` is a generator that wants to know how many trades are open."""
    while (left := moment - time.time()) > 0:
        if told is None or told.stdin is None:
            time.sleep(left)
            continue
        with contextlib.suppress(BrokenPipeError):
            told.stdin.write(b"%d\n" % house.database.open_trades())
            told.stdin.flush()
        time.sleep(min(left, LOOK_SECONDS))
