"""One period of load: runs the generator, and combines its results with the brokerage's for the steady part."""

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
"""Time from starting the generator to its first trade."""
POLL_SECONDS = 0.025
"""How often the generator is sent the number of open trades."""
TAIL_SECONDS_MAX = 60.0


class LoadFailed(Exception):
    """The load was not as ordered, so the measurement is invalid."""


class LoadTarget(Protocol):
    """The system under load: the brokerage, or a peer."""

    folder: Path
    tokens_file: Path
    database: Database

    @property
    def addresses(self) -> list[tuple[str, int]]: ...

    def roots(self) -> dict[int, str]: ...

    def calm_down(self) -> None: ...

    def drain(self) -> float: ...

    def memory(self) -> dict[str, dict[str, float]]: ...


@dataclass(frozen=True)
class Answer:
    """One trade as the generator saw it. Times are epoch seconds."""

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
        """Trades placed in this period."""
        return sum(answer.status == 201 and self._is_inside(answer.answered_at) for answer in self.answers)

    @property
    def settled(self) -> int:
        """Trades that became final in this period."""
        return sum(self._is_inside(final.final_at) for final in self.finals.values())

    def settled_by_second(self) -> list[int]:
        """Return the trades that became final in each full second of the period."""
        seconds = Counter(int(final.final_at - self.began_at) for final in self.finals.values())
        return [seconds[second] for second in range(int(self.seconds))]

    def statuses(self) -> dict[str, int]:
        """Return how many trades became final with each status."""
        return dict(Counter(final.status for final in self.finals.values() if self._is_inside(final.final_at)))

    def placing_ms(self) -> list[float]:
        """Return the latency of placing each trade, in ms, from when it was due until the response."""
        return [
            1000 * (answer.answered_at - answer.scheduled_at)
            for answer in self.answers
            if self._is_inside(answer.scheduled_at)
        ]

    def final_ms(self, from_door: bool = False) -> list[float]:
        """Return the time in ms until each settlement was committed, from `placed_at` or from when it was due.

        Args:
            from_door: count from when the request was due, instead of from `placed_at`.
        """
        return [
            1000 * (final.final_at - (answer.scheduled_at if from_door else final.placed_at))
            for answer in self.answers
            if self._is_inside(answer.scheduled_at) and (final := self.finals.get(answer.trade_id))
        ]


def apply(
    site: LoadTarget,
    seconds: float,
    warm_up_seconds: float,
    connections: int,
    rate: float = 0.0,
    backlog_max: int = 0,
    even: bool = False,
    seed: int = 1,
    wait_for_finals: bool = True,
) -> Period:
    """Apply a load, wait until every trade is final, and return the steady part. Raises LoadFailed."""
    answers_file = site.folder / "answers.json"
    start_at = time.time() + START_SECONDS
    order = {
        "addresses": site.addresses,
        "path": "/api/v1/trades",
        "tokens_file": str(site.tokens_file),
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
    summary, before, after = _generate(site, order, start_at + warm_up_seconds, seconds)
    answers = [Answer(*values) for values in json.loads(answers_file.read_text())]
    answers_file.unlink()
    if wait_for_finals:
        site.drain()
    period = Period(
        began_at=before.cpu.at,
        ended_at=after.cpu.at,
        answers=answers,
        finals=site.database.finals(start_at - 60) if wait_for_finals else {},
        spent=Spent.between(before.cpu, after.cpu),
        counters=(before.counters, after.counters),
        open_trades=(before.open_trades, after.open_trades),
    )
    unexpected = Counter(answer.status for answer in answers if answer.status != 201)
    if unexpected or summary["unanswered"] or summary["broken"]:
        when = sorted(round(answer.answered_at - start_at, 1) for answer in answers if answer.status != 201)
        raise LoadFailed(f"not every trade was placed: {dict(unexpected)} at {when[:1]} to {when[-1:]} s, {summary}")
    return period


def _generate(
    site: LoadTarget, order: dict[str, Any], began_at: float, seconds: float
) -> tuple[dict[str, Any], Any, Any]:
    """Run the generator; return its summary, and samples from the beginning and the end of the period."""
    generator = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GENERATOR)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert generator.stdin  # noqa: S101 (it is a pipe)
    try:
        generator.stdin.write(json.dumps(order).encode() + b"\n")
        generator.stdin.flush()
        roots = {**site.roots(), generator.pid: "generator"}
        paced = generator if order["backlog_max"] else None
        _sleep_until(began_at, site, paced)
        before = _sample(site, roots)
        _sleep_until(began_at + seconds, site, paced)
        after = _sample(site, roots)
        summary, _ = generator.communicate(timeout=TAIL_SECONDS_MAX)
    except BaseException:
        generator.kill()
        generator.wait()
        raise
    if generator.returncode:
        raise LoadFailed(f"the generator ended with {generator.returncode}")
    return json.loads(summary), before, after


def latency(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p99, p99.9 and the maximum, in milliseconds."""
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
class _Sample:
    cpu: processes.Snapshot
    counters: Counters
    open_trades: int


def _sample(site: LoadTarget, roots: dict[int, str]) -> _Sample:
    return _Sample(processes.snapshot(roots), site.database.counters(), site.database.open_trades())


def _sleep_until(moment: float, site: LoadTarget, paced: subprocess.Popen[Any] | None) -> None:
    """Sleep until a time (epoch seconds), sending the number of open trades to the generator `paced`, if given."""
    while (remaining := moment - time.time()) > 0:
        if paced is None or paced.stdin is None:
            time.sleep(remaining)
            continue
        with contextlib.suppress(BrokenPipeError):
            paced.stdin.write(b"%d\n" % site.database.open_trades())
            paced.stdin.flush()
        time.sleep(min(remaining, POLL_SECONDS))
