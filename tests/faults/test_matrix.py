"""docs/explanation/faults.md matches the code: each row has a test, and each test and fault that it names exists."""

import re
from pathlib import Path

from chaos.plan import EXCHANGE_FAULTS, KILLS, LINK_FAULTS, LINKS, PAUSES, RINGS, SLOW

PROJECT = Path(__file__).parents[2]
MATRIX = (PROJECT / "docs/explanation/faults.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", MATRIX, re.MULTILINE)
OTHER_FAULTS = {"staff", "clock postgres", "restart postgres", "restart valkey", *SLOW}
INJECTED_FAULTS = {
    *OTHER_FAULTS,
    *(f"kill {target}" for target in KILLS),
    *(f"pause {target}" for target in PAUSES),
    *(f"rings {kind}" for kind in RINGS),
    *(f"{fault} {link}" for fault in LINK_FAULTS for link in LINKS),
    *(f"exchange {name}" for values in EXCHANGE_FAULTS for name in (*values, ", ".join(values))),
}


def test_every_fault_has_its_row() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 59))


def test_every_row_names_existing_tests_and_faults() -> None:
    for number, fault, made_by in ROWS:
        tests = re.findall(r"`(tests/[^`]+)`", made_by)
        faults = re.findall(r"\*([^*]+)\*", made_by)
        exemption = re.match(r"not (made|applicable)", made_by)
        assert tests or faults or exemption or "at every step" in made_by, (number, fault)
        assert set(faults) <= INJECTED_FAULTS, (number, set(faults) - INJECTED_FAULTS)
        for test in tests:
            path, _, name = test.partition("::")
            assert (PROJECT / path).exists(), (number, path)
            assert not name or f"def {name}(" in (PROJECT / path).read_text(), (number, name)
