"""A fault at any single step of a trade's lifecycle, in any process that takes part, breaks no promise.

A process that works on batches gets a batch of several customers.

`operations.txt` lists the steps, and a step that is not on the list fails a test. Run that test with OPERATIONS=write
to add new steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import StandInExchange
from tests.faults.lifecycle import (
    PROCESSES,
    Case,
    Process,
    depositing,
    placing,
    placing_a_set,
    prepared,
    sweep_until_final,
    violations_of,
)
from tests.faults.steps import Fault, Outcome, Steps, run
from trades.models import Type
from trades.place import place_trade

OPERATIONS = Path(__file__).with_name("operations.txt")
KILLED = -9
STEPS_MAX = 60
OTHERS = 1  # further customer in the same batch
# Whether a process refreshes its market data depends on how long ago it last did.
REFRESHES = {"broker GET", "http GET /v1/clock", "sql SELECT exchange_closure", "sql SELECT trades_feerate"}

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.__name__)
def test_a_fault_at_any_step_breaks_no_promise(
    instant_exchange: StandInExchange, tmp_path: Path, process: Process, fault: Fault
) -> None:
    cases: list[Case] = []
    faults_count = 0
    for number in range(1, STEPS_MAX + 1):
        case = Case(instant_exchange, number, OTHERS)
        customers = [member.customer for member in case.all_cases]
        cases.append(case)
        work = prepared(process, case)
        steps = Steps(tmp_path / f"{number}", fault, number)
        outcome = run(work, steps, while_hung=partial(sweep_until_final, *customers))
        # The customer got no response and retries. Then two more trades must go through as usual.
        if process in {placing, placing_a_set}:
            for member in case.all_cases if process is placing_a_set else [case]:
                member.place("first")
        if process is depositing:
            case.post("/api/v1/deposits", {"amount": "5.00"}, "more")
        case.place("second")
        case.place("third")
        sweep_until_final(*customers)
        if len(outcome.steps) < number:
            break
        faults_count += 1
        assert _has_effect_of(fault, outcome), (number, outcome)
    else:
        pytest.fail(f"more than {STEPS_MAX} steps")
    assert faults_count >= 3
    assert violations_of(cases) == []


def _has_effect_of(fault: Fault, outcome: Outcome) -> bool:
    if fault in {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}:
        return outcome.code == KILLED
    return outcome.code in {0, 3} and outcome.hung == (fault is Fault.HANGS)


def test_the_steps_are_those_of_the_list(instant_exchange: StandInExchange, tmp_path: Path) -> None:
    lines = list(_listed(instant_exchange, tmp_path))
    if os.environ.get("OPERATIONS") == "write":
        OPERATIONS.write_text("\n".join(lines) + "\n")
    assert lines == OPERATIONS.read_text().splitlines(), (
        "run this test with OPERATIONS=write to add the new steps to the list"
    )


def _listed(exchange: StandInExchange, folder: Path) -> Iterator[str]:
    for number, process in enumerate(PROCESSES):
        case = Case(exchange, number, OTHERS)
        outcome = run(prepared(process, case), Steps(folder / process.__name__), while_hung=lambda: None)
        assert outcome.code == 0, outcome
        sweep_until_final(*[member.customer for member in case.all_cases])
        yield f"# {process.__name__.replace('_', ' ')}"
        yield from (step for step in outcome.steps if step not in REFRESHES)


def test_a_checker_that_finds_nothing_is_detected(instant_exchange: StandInExchange) -> None:
    case = Case(instant_exchange, 1)
    place_trade(case.customer.id, "KO", Type.BUY, 1)  # a trade without a recorded request
    sweep_until_final(case.customer)
    assert any("nobody requested it" in violation for violation in violations_of([case]))
