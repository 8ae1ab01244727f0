"""The checker detects each planted violation, and finds none in correct evidence."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.stories.crowd import Evidence, Person, Placed, longest_delays, moment, violations, waits

ALICE = Person(1, "token", Decimal(1000))


def at(seconds: float) -> str:
    return f"2026-01-02T15:00:{seconds:09.6f}Z"


def trade(number: int, status: str = "FILLED") -> dict[str, Any]:
    filled = status == "FILLED"
    return {
        "tradeId": f"t{number}",
        "stockTicker": "AAPL",
        "type": "BUY",
        "quantity": 1,
        "createdAt": at(number),
        "status": status,
        "price": "10.0000" if filled else None,
        "amount": "10.0000" if filled else None,
        "netAmount": "10.0000" if filled else None,
        "settledAt": at(number * 10 + 1),
    }


def entry(number: int) -> dict[str, Any]:
    return {
        "tradeId": f"t{number}",
        "status": "FILLED",
        "price": "10.0000",
        "amount": "10.0000",
        "executionId": f"x{number}",
        "sequence": number,
        "firstReceivedAt": at(number * 10),
        "finalAt": at(number * 10 + 1),
    }


@pytest.fixture
def evidence() -> Evidence:
    """Return the evidence of three trades without violations."""
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    return Evidence(
        people=[ALICE],
        placed=[Placed(1, n, body, trade(n) | {"status": "PLACED"}, 0.0) for n in (1, 2, 3)],
        trades={1: [trade(n) for n in (1, 2, 3)]},
        cash={1: {"amount": "970.0000", "held": "0.0000"}},
        shares={1: [{"stockTicker": "AAPL", "quantity": 3}]},
        exchange=[entry(n) for n in (1, 2, 3)],
        audit={"ok": True, "violations": []},
    )


def test_correct_evidence_has_no_violations(evidence: Evidence) -> None:
    assert violations(evidence) == []


def lose_trade(evidence: Evidence) -> None:
    del evidence.trades[1][1]


def place_twice(evidence: Evidence) -> None:
    evidence.trades[1].append(trade(4, "REJECTED"))


def change_terms(evidence: Evidence) -> None:
    evidence.trades[1][0]["quantity"] = 2


def swap_order_of_trades(evidence: Evidence) -> None:
    evidence.trades[1][0], evidence.trades[1][1] = evidence.trades[1][1], evidence.trades[1][0]


def swap_at_the_exchange(evidence: Evidence) -> None:
    evidence.exchange[0]["sequence"], evidence.exchange[1]["sequence"] = 2, 1


def put_two_in_flight(evidence: Evidence) -> None:
    evidence.exchange[1]["firstReceivedAt"] = evidence.exchange[0]["firstReceivedAt"]


def never_end_the_first(evidence: Evidence) -> None:
    evidence.exchange[0]["finalAt"] = None


def execute_twice(evidence: Evidence) -> None:
    evidence.exchange.append(deepcopy(evidence.exchange[2]) | {"executionId": "x4", "sequence": 4})


def reject_an_executed_trade(evidence: Evidence) -> None:
    evidence.trades[1][2] = trade(3, "REJECTED")


def book_a_trade_that_was_not_executed(evidence: Evidence) -> None:
    evidence.exchange[2] |= {"status": "REJECTED", "price": None, "amount": None}


def book_another_price(evidence: Evidence) -> None:
    evidence.exchange[2] |= {"price": "11.0000", "amount": "11.0000"}


def leave_open(evidence: Evidence) -> None:
    evidence.trades[1][2]["status"] = "IN PROGRESS"


def post_twice(evidence: Evidence) -> None:
    evidence.cash[1]["amount"] = "960.0000"


def keep_a_hold(evidence: Evidence) -> None:
    evidence.cash[1]["held"] = "1.0000"


def lose_shares(evidence: Evidence) -> None:
    evidence.shares[1][0]["quantity"] = 2


def fail_the_audit(evidence: Evidence) -> None:
    evidence.audit = {"ok": False, "violations": ["a posting is missing"]}


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (lose_trade, "lost"),
        (place_twice, "3 trades were placed, 4 exist"),
        (change_terms, "changed"),
        (swap_order_of_trades, "not in the order in which they were placed"),
        (swap_at_the_exchange, "the exchange received t2 before t1"),
        (put_two_in_flight, "two in flight"),
        (never_end_the_first, "two in flight"),
        (execute_twice, "executed twice"),
        (reject_an_executed_trade, "t3 is REJECTED here, and was executed 1 times there"),
        (book_a_trade_that_was_not_executed, "t3 is FILLED here, and was executed 0 times there"),
        (book_another_price, "executed at 11.0000, and is booked at 10.0000"),
        (leave_open, "not final"),
        (post_twice, "cash should be 970"),
        (keep_a_hold, "1.0000 held"),
        (lose_shares, "shares should be"),
        (fail_the_audit, "a posting is missing"),
    ],
)
def test_a_planted_violation_is_detected(evidence: Evidence, plant: Callable[[Evidence], None], expected: str) -> None:
    plant(evidence)
    assert any(expected in violation for violation in violations(evidence)), violations(evidence)


def test_a_delay_is_the_excess_of_the_longest_wait_over_the_median(evidence: Evidence) -> None:
    # Placed at seconds 0, 1 and 2, and final at 11, 21 and 59, so the waits are 11, 10 and 38 seconds.
    evidence.placed = [replace(placing, asked_at=moment(at(n))) for n, placing in enumerate(evidence.placed)]
    evidence.trades[1][2]["settledAt"] = at(59)
    assert [round(wait.seconds) for wait in waits(evidence)] == [11, 10, 38]
    assert [round(delay) for delay in longest_delays(evidence, [moment(at(s)) for s in (5, 15, 25, 59.5)])] == [
        0,
        -1,
        27,
        0,
    ]
