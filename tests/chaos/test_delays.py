"""Expired and late trades are violations unless a fault explains them."""

from typing import Any

import pytest

from chaos.checker import Evidence
from chaos.clocks import correct_times
from chaos.delays import DELAY_SECONDS_MAX, violations

CLAIMED = 1_767_366_000.0
TRADE: dict[str, Any] = {
    "id": "t1",
    "customer": 1,
    "sequence": 1,
    "ticker": "AAPL",
    "status": "REJECTED",
    "reason_code": "expired",
    "placed_at": CLAIMED - 1,
    "claimed_at": CLAIMED,
    "settled_at": CLAIMED + 36,
}


def fault(kind: str, target: str, began: float, ended: float, **values: Any) -> dict[str, Any]:
    return {"kind": kind, "target": target, "values": values, "done": True} | {
        "began": CLAIMED + began,
        "ended": CLAIMED + ended,
    }


def kinds_of_violations(*faults: dict[str, Any], **trade: Any) -> list[str]:
    evidence = Evidence(accounts=[{"customer": 1}], trades=[TRADE | trade], faults=list(faults))
    return [violation.partition(":")[0] for violation in violations(evidence)]


EXPLAINED = [
    [fault("exchange", "down", 0, 25, down=True)],
    [fault("exchange", "poisonTickers", -1, 20, poisonTickers=["AAPL"])],
    [fault("blackhole", "sweep-exchange", 5, 20)],
    [fault("clock", "postgres", 8, 17, jumpSeconds=3600)],
    [fault("staff", "halt-all", 3, 16, does="halt-all")],
    [fault("kill", "exchange", 8, 8), fault("pause", "postgres", 15, 22)],
    [fault("split", "AAPL", -2, 37)],
]
UNEXPLAINED = [
    [],
    [fault("exchange", "down", 0, 6, down=True)],
    [fault("exchange", "poisonTickers", -1, 29, poisonTickers=["F"])],
    [fault("kill", "lanes", n, n) for n in range(1, 30, 4)],
    [fault("blackhole", "lanes-exchange", 0, 30)],
    [fault("staff", "halt-stock WMT", 0, 30, does="halt-stock", ticker="WMT")],
    [fault("clock", "web.1", 0, 30, jumpSeconds=90)],
    [fault("split", "KO", -2, 37)],
]


@pytest.mark.parametrize("faults", EXPLAINED, ids=range(len(EXPLAINED)))
def test_an_expiry_that_a_fault_explains_is_no_violation(faults: list[dict[str, Any]]) -> None:
    assert "expired" not in kinds_of_violations(*faults)


@pytest.mark.parametrize("faults", UNEXPLAINED, ids=range(len(UNEXPLAINED)))
def test_an_expiry_that_no_fault_explains_is_a_violation(faults: list[dict[str, Any]]) -> None:
    assert "expired" in kinds_of_violations(*faults)


def test_a_jump_of_the_exchanges_clock_explains_only_trades_that_it_ended() -> None:
    settled_immediately = {"settled_at": CLAIMED + 1}
    assert "expired" not in kinds_of_violations(fault("exchange clock", "exchange", -1, 2), **settled_immediately)
    assert "expired" in kinds_of_violations(fault("exchange clock", "exchange", 20, 22), **settled_immediately)
    assert "expired" in kinds_of_violations(fault("exchange clock", "exchange", -9, -4), **settled_immediately)


def test_late_trades_after_the_last_fault_are_found() -> None:
    late = {"status": "FILLED", "reason_code": "", "settled_at": CLAIMED + 1 + DELAY_SECONDS_MAX + 5}
    assert kinds_of_violations(fault("kill", "lanes", 1, 1), **late) == ["late", "late"]
    assert kinds_of_violations(fault("kill", "lanes", 1, 1), **late | {"settled_at": CLAIMED + 2}) == []


def test_times_from_a_wrong_clock_are_corrected() -> None:
    request = {"began": CLAIMED - 5, "ended": CLAIMED + 60}
    jump = fault("clock", "postgres", 0, 9, jumpSeconds=-3600)
    trade = TRADE | {"claimed_at": CLAIMED - 3598}
    placed_in_the_future = TRADE | {"placed_at": CLAIMED + 3600}
    evidence = Evidence(
        trades=[trade, placed_in_the_future],
        reports=[{"received_at": CLAIMED - 3590}],
        requests=[request],
        faults=[jump],
    )
    correct_times(evidence)
    assert (evidence.trades[0]["claimed_at"], evidence.trades[0]["settled_at"]) == (CLAIMED + 2, CLAIMED + 36)
    assert evidence.trades[1]["settled_at"] is None, "its delay is unknown"
    assert evidence.reports[0]["received_at"] == CLAIMED + 10


@pytest.mark.parametrize(
    ("key", "written", "placed_at"),
    [
        ("k", CLAIMED - 90, CLAIMED - 5),
        ("k", CLAIMED + 3600, CLAIMED - 4),
        ("", CLAIMED - 90, CLAIMED - 4.2),
    ],
)
def test_a_trade_was_placed_between_its_first_request_and_the_answer(
    key: str, written: float, placed_at: float
) -> None:
    first: dict[str, Any] = {
        "customer": 1,
        "method": "POST",
        "path": "/api/v1/trades",
        "key": key,
        "status": 503,
        "answer": None,
    }
    requests = [
        first | {"began": CLAIMED - 5, "ended": CLAIMED - 4.5},
        first | {"began": CLAIMED - 4.2, "ended": CLAIMED - 4, "status": 201, "answer": {"tradeId": "t1"}},
        {"began": CLAIMED - 500, "ended": CLAIMED + 60},
    ]
    jump = fault("clock", "postgres", 0, 9, jumpSeconds=3600)
    evidence = Evidence(trades=[TRADE | {"placed_at": written, "key": key or None}], requests=requests, faults=[jump])
    correct_times(evidence)
    assert evidence.trades[0]["placed_at"] == placed_at
    assert evidence.trades[0]["settled_at"] == CLAIMED + 36
