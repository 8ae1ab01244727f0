"""A fault at every single step of a trade's life, in every process that takes part.

Where a process works on a set, it is a set of several customers.

`operations.txt` is the list of the steps. A new one that is not in it fails a test: write it there (say
OPERATIONS=write) and it is killed, failed and hung like the others from then on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import StandInExchange
from tests.faults.life import (
    PROCESSES,
    Case,
    Process,
    depositing,
    judge,
    placing,
    placing_a_set,
    prepared,
    sweep_until_final,
)
from tests.faults.steps import Ended, Steps, Wrong, run
from trades.models import Type
from trades.place import place_trade

OPERATIONS = Path(__file__).with_name("operations.txt")
KILLED = -9
STEPS_MAX = 60
OTHERS = 2  # customers in the same set
# Whether a process reads again what it knows of the market depends on how long ago it last did.
REFRESHES = {"broker GET", "http GET /v1/clock", "sql SELECT exchange_closure", "sql SELECT trades_feerate"}

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("wrong", Wrong, ids=lambda wrong: wrong.name.lower())
@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.__name__)
def test_a_fault_at_any_step_breaks_no_promise(
    willing: StandInExchange, tmp_path: Path, process: Process, wrong: Wrong
) -> None:
    cases: list[Case] = []
    went_wrong = 0
    for number in range(1, STEPS_MAX + 1):
        case = Case(willing, number, OTHERS)
        customers = [each.customer for each in case.everybody]
        cases.append(case)
        work = prepared(process, case)
        steps = Steps(tmp_path / f"{number}", wrong, number)
        ended = run(work, steps, meanwhile=partial(sweep_until_final, *customers))
        # The customer, who was not answered, asks again; then two more trades go through, as if nothing had been.
        if process in {placing, placing_a_set}:
            for each in case.everybody if process is placing_a_set else [case]:
                each.place("first")
        if process is depositing:
            case.post("/api/v1/deposits", {"amount": "5.00"}, "more")
        case.place("second")
        case.place("third")
        sweep_until_final(*customers)
        if len(ended.steps) < number:
            break
        went_wrong += 1
        assert _went_as_it_was_to_go_wrong(ended, wrong), (number, ended)
    else:
        pytest.fail(f"more than {STEPS_MAX} steps")
    assert went_wrong >= 3
    assert judge(cases) == []


def _went_as_it_was_to_go_wrong(ended: Ended, wrong: Wrong) -> bool:
    if wrong in {Wrong.KILLED_BEFORE, Wrong.KILLED_AFTER}:
        return ended.code == KILLED
    return ended.code in {0, 3} and ended.hung == (wrong is Wrong.HANGS)


def test_the_steps_are_those_of_the_list(willing: StandInExchange, tmp_path: Path) -> None:
    lines = list(_listed(willing, tmp_path))
    if os.environ.get("OPERATIONS") == "write":
        OPERATIONS.write_text("\n".join(lines) + "\n")
    assert lines == OPERATIONS.read_text().splitlines(), "OPERATIONS=write puts the new steps on the list"


def _listed(exchange: StandInExchange, folder: Path) -> Iterator[str]:
    for number, process in enumerate(PROCESSES):
        case = Case(exchange, number, OTHERS)
        ended = run(prepared(process, case), Steps(folder / process.__name__), meanwhile=lambda: None)
        assert ended.code == 0, ended
        sweep_until_final(*[each.customer for each in case.everybody])
        yield f"# {process.__name__.replace('_', ' ')}"
        yield from (step for step in ended.steps if step not in REFRESHES)


def test_a_checker_that_finds_nothing_is_detected(willing: StandInExchange) -> None:
    case = Case(willing, 1)
    place_trade(case.customer.id, "KO", Type.BUY, 1)  # which is on nobody's record
    sweep_until_final(case.customer)
    assert any("nobody requested it" in words for words in judge([case]))
