"""The checker finds each violation in the evidence, and none in correct evidence."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from decimal import Decimal

import pytest

from chaos.checker import Evidence, figures, violations
from chaos.staff import Refused
from tests.chaos.evidence import BOB, START, correct_evidence, placing, report_body, trade, with_a_split, with_fees


@pytest.fixture
def evidence() -> Evidence:
    return correct_evidence()


def test_correct_evidence_has_no_violations(evidence: Evidence) -> None:
    assert violations(evidence) == []


def test_a_correct_split_is_no_violation(evidence: Evidence) -> None:
    with_a_split(evidence)
    assert violations(evidence) == []


def test_correct_fees_are_no_violation(evidence: Evidence) -> None:
    with_fees(evidence)
    assert violations(evidence) == []


def omit_the_fees(evidence: Evidence) -> None:
    evidence.fee_rates.append(
        {"kind": "cat", "first_day": date(2026, 1, 1), "last_day": None, "maximum": None}
        | {"per_usd": Decimal(0), "per_share": Decimal("0.00001")}
    )
    for row in evidence.trades:
        row["traded_on"] = date(2026, 1, 2)


def charge_fees_without_a_rate(evidence: Evidence) -> None:
    with_fees(evidence)
    evidence.fee_rates.clear()


def lose_a_trade(evidence: Evidence) -> None:
    evidence.requests.append(placing(9))


def place_a_trade_twice(evidence: Evidence) -> None:
    evidence.trades.append(trade(3) | {"id": "t4", "sequence": 4})


def place_a_trade_without_a_request(evidence: Evidence) -> None:
    evidence.trades.append(trade(4) | {"key": None})


def return_two_trades_for_one_key(evidence: Evidence) -> None:
    evidence.requests[1]["key"] = "k1"


def change_the_terms_of_a_trade(evidence: Evidence) -> None:
    evidence.trades[0]["quantity"] = 3


def give_a_trade_to_another_customer(evidence: Evidence) -> None:
    evidence.trades[1]["customer"] = BOB


def leave_a_gap_in_the_sequence(evidence: Evidence) -> None:
    evidence.trades[2]["sequence"] = 4


def swap_two_trades_in_line(evidence: Evidence) -> None:
    evidence.trades[0]["sequence"], evidence.trades[1]["sequence"] = 2, 1


def swap_two_orders_at_the_exchange(evidence: Evidence) -> None:
    evidence.exchange[0]["sequence"], evidence.exchange[1]["sequence"] = 2, 1


def send_two_orders_at_once(evidence: Evidence) -> None:
    evidence.exchange[1]["firstReceivedAt"] = evidence.exchange[0]["firstReceivedAt"]


def execute_an_order_twice(evidence: Evidence) -> None:
    evidence.exchange.append(evidence.exchange[0] | {"sequence": 9})


def execute_an_order_that_was_never_placed(evidence: Evidence) -> None:
    evidence.exchange.append(evidence.exchange[0] | {"sequence": 9, "tradeId": "t9"})


def leave_a_trade_in_progress(evidence: Evidence) -> None:
    evidence.trades[2]["status"] = "IN PROGRESS"


def record_a_wrong_price(evidence: Evidence) -> None:
    evidence.trades[0]["price"] = Decimal("9.0000")


def reject_a_filled_trade(evidence: Evidence) -> None:
    evidence.trades[0] |= {"status": "REJECTED", "price": None, "amount": None}


def fill_a_trade_unknown_to_the_exchange(evidence: Evidence) -> None:
    del evidence.exchange[2]


def follow_an_unexplained_false_report(evidence: Evidence) -> None:
    evidence.reports[0]["body"] = json.dumps(report_body(1, executionId="false", status="REJECTED"))
    evidence.trades[0] |= {"status": "REJECTED", "price": None, "amount": None}


def create_cash(evidence: Evidence) -> None:
    evidence.balances[0]["amount"] += Decimal("0.0001")


def lose_a_share(evidence: Evidence) -> None:
    evidence.positions[0]["quantity"] -= 1


def hold_cash_without_a_trade(evidence: Evidence) -> None:
    evidence.balances[0]["held"] = Decimal("0.0001")


def hold_shares_without_a_trade(evidence: Evidence) -> None:
    evidence.positions[0]["held"] = 1


def lose_a_withdrawal(evidence: Evidence) -> None:
    del evidence.transfers[1]


def withdraw_twice(evidence: Evidence) -> None:
    evidence.transfers.append(evidence.transfers[1] | {"id": "v"})


def withdraw_another_amount(evidence: Evidence) -> None:
    evidence.transfers[1]["amount"] = Decimal("5.0001")


def make_a_balance_negative_briefly(evidence: Evidence) -> None:
    evidence.postings[0]["id"] = 99


def post_twice(evidence: Evidence) -> None:
    evidence.postings.append(evidence.postings[1] | {"id": 50})


def post_at_another_price(evidence: Evidence) -> None:
    evidence.postings[1]["price"] = Decimal("9.0000")


def post_without_a_cause(evidence: Evidence) -> None:
    evidence.postings[1]["cause"] = "nothing"


def change_a_final_trade(evidence: Evidence) -> None:
    response = {"tradeId": "t1", "status": "REJECTED", "price": None, "reasonCode": "expired"}
    evidence.requests.append(
        placing(1) | {"method": "GET", "path": "/api/v1/trades/t1", "status": 200, "answer": response}
    )


def show_a_trade_to_another_customer(evidence: Evidence) -> None:
    response = {"tradeId": "t1", "status": "FILLED", "price": "10.0000", "reasonCode": None}
    evidence.requests.append(
        placing(1) | {"customer": BOB, "method": "GET", "path": "/api/v1/trades/t1", "status": 200, "answer": response}
    )


def end_a_trade_twice(evidence: Evidence) -> None:
    evidence.status_changes.append({"id": 99, "trade": "t1", "to_status": "REJECTED"})


def claim_before_the_previous_trade_ended(evidence: Evidence) -> None:
    evidence.status_changes[4]["id"], evidence.status_changes[2]["id"] = (
        evidence.status_changes[2]["id"],
        evidence.status_changes[4]["id"],
    )


def respond_500(evidence: Evidence) -> None:
    evidence.requests.append(placing(9, status=500))


def respond_503_without_retry_after(evidence: Evidence) -> None:
    evidence.requests.append(placing(9, status=503) | {"retryAfter": None})


def respond_with_html(evidence: Evidence) -> None:
    evidence.requests.append(placing(9, status=422) | {"answer": {"notJson": "<html>"}})


def add_staff_action(evidence: Evidence, action: str, since: float, until: float, **parameters: str) -> None:
    values = {"does": action, "since": START + since, "until": START + until, **parameters}
    row = {"kind": "staff", "target": action, "values": values, "began": START + since, "ended": START + until}
    evidence.faults.append(row | {"done": True})


def place_during_a_halt(evidence: Evidence) -> None:
    add_staff_action(evidence, "halt-all", 18, 22)


def place_a_restricted_stock(evidence: Evidence) -> None:
    add_staff_action(evidence, "restrict-stock", 18, 22, ticker="AAPL")


def place_too_many_shares(evidence: Evidence) -> None:
    add_staff_action(evidence, "limit", 18, 22, kind="shares_max", value="1")


def place_above_the_notional_limit(evidence: Evidence) -> None:
    add_staff_action(evidence, "limit", 18, 22, kind="notional_max", value="1")


def place_too_often(evidence: Evidence) -> None:
    add_staff_action(evidence, "limit", 28, 32, kind="orders_a_minute_max", value="2")


def refuse_staff_a_halt(evidence: Evidence) -> None:
    add_staff_action(evidence, "halt-all", 5, 6)
    evidence.faults[-1] |= {"done": False, "error": Refused.__name__, "why": "halt-all: 422 "}


def claim_a_halted_stock(evidence: Evidence) -> None:
    add_staff_action(evidence, "halt-stock", 9.8, 21.8, ticker="AAPL")
    evidence.requests[1] |= {
        "began": START + 10.7
    }  # requested before the halt, but claimed after every lane knew of it


def omit_a_holder_from_a_split(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.entitlements.clear()
    del evidence.postings[-2:]
    evidence.positions[0]["quantity"], evidence.balances[0]["amount"] = 6, Decimal(35)


def split_for_a_holder_twice(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.entitlements.append(evidence.entitlements[0] | {"id": "again"})


def split_into_one_share_too_many(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.entitlements[0]["shares_after"] += 1


def keep_the_cash_in_lieu(evidence: Evidence) -> None:
    with_a_split(evidence)
    del evidence.postings[-1]
    evidence.balances[0]["amount"] = Decimal(35)


def lose_a_share_in_a_split(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.postings[-2] |= {"change": Decimal(-3), "total": Decimal(3)}
    evidence.positions[0]["quantity"] = 3


def leave_a_split_half_done(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.actions[0]["state"] = "applying"


def fill_while_the_stock_is_split(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.entitlements[0]["event"] = evidence.status_changes[-2]["id"] + 0.5


VIOLATIONS: list[Callable[[Evidence], None]] = [
    omit_the_fees,
    charge_fees_without_a_rate,
    lose_a_trade,
    place_a_trade_twice,
    place_a_trade_without_a_request,
    return_two_trades_for_one_key,
    change_the_terms_of_a_trade,
    give_a_trade_to_another_customer,
    leave_a_gap_in_the_sequence,
    swap_two_trades_in_line,
    swap_two_orders_at_the_exchange,
    send_two_orders_at_once,
    execute_an_order_twice,
    execute_an_order_that_was_never_placed,
    leave_a_trade_in_progress,
    record_a_wrong_price,
    reject_a_filled_trade,
    fill_a_trade_unknown_to_the_exchange,
    follow_an_unexplained_false_report,
    create_cash,
    lose_a_share,
    hold_cash_without_a_trade,
    hold_shares_without_a_trade,
    lose_a_withdrawal,
    withdraw_twice,
    withdraw_another_amount,
    make_a_balance_negative_briefly,
    post_twice,
    post_at_another_price,
    post_without_a_cause,
    change_a_final_trade,
    show_a_trade_to_another_customer,
    end_a_trade_twice,
    claim_before_the_previous_trade_ended,
    respond_500,
    respond_503_without_retry_after,
    respond_with_html,
    place_during_a_halt,
    place_a_restricted_stock,
    place_too_many_shares,
    place_above_the_notional_limit,
    place_too_often,
    refuse_staff_a_halt,
    claim_a_halted_stock,
    omit_a_holder_from_a_split,
    split_for_a_holder_twice,
    split_into_one_share_too_many,
    keep_the_cash_in_lieu,
    lose_a_share_in_a_split,
    leave_a_split_half_done,
    fill_while_the_stock_is_split,
]


@pytest.mark.parametrize("plant", VIOLATIONS, ids=lambda plant: plant.__name__)
def test_it_finds_each_planted_violation(evidence: Evidence, plant: Callable[[Evidence], None]) -> None:
    before = deepcopy(evidence)
    plant(evidence)
    assert evidence != before, "the evidence is unchanged"
    assert violations(evidence)


def test_a_control_applies_from_when_every_process_knows_it_until_it_is_lifted(evidence: Evidence) -> None:
    add_staff_action(evidence, "halt-all", 19.5, 29.5)
    add_staff_action(evidence, "restrict-stock", 5, 40, ticker="WMT")
    add_staff_action(evidence, "limit", 5, 40, kind="shares_max", value="2")
    add_staff_action(evidence, "limit", 5, 40, kind="orders_a_minute_max", value="3")
    assert violations(evidence) == []


def test_exchange_times_are_ignored_while_its_clock_is_wrong(evidence: Evidence) -> None:
    evidence.exchange[1]["firstReceivedAt"] = evidence.exchange[0]["firstReceivedAt"]
    jump = {"kind": "exchange clock", "target": "exchange", "values": {"jumpSeconds": -10}, "done": True}
    evidence.faults = [jump | {"began": START + 18, "ended": START + 22}]
    assert violations(evidence) == []
    evidence.faults = [jump | {"began": START + 60, "ended": START + 62}]
    assert any("two in flight" in violation for violation in violations(evidence))


def test_a_request_without_a_response_may_have_had_an_effect(evidence: Evidence) -> None:
    evidence.requests[2] |= {"status": 0, "answer": None}
    evidence.requests.append(placing(9, status=0))
    assert violations(evidence) == []


def test_a_planned_false_report_is_followed_and_counted(evidence: Evidence) -> None:
    contradict = {
        "kind": "exchange",
        "target": "",
        "values": {"contradictRate": 1},
        "began": START + 11,
        "ended": START + 12,
    }
    evidence.faults.append(contradict | {"done": True})
    evidence.reports[0]["body"] = json.dumps(report_body(1, executionId="false", price="9.0000", amount="18.0000"))
    evidence.trades[0] |= {"price": Decimal("9.0000"), "amount": Decimal("18.0000")}
    evidence.postings[1] |= {"price": Decimal("9.0000"), "change": Decimal("-18.0000")}
    evidence.postings[2] |= {"price": Decimal("9.0000")}
    for posting in evidence.postings[1:]:
        if posting["ticker"] == "":
            posting["total"] += 2
    evidence.balances[0]["amount"] += 2
    assert violations(evidence) == []
    assert figures(evidence)["exchangeContradictedItself"] == 1


def test_delays_are_measured_from_the_end_of_a_fault(evidence: Evidence) -> None:
    assert figures(evidence)["delayAfterSeconds"]["kill lanes"] == {"trades": 1, "p50": 1.5, "p99": 1.5, "max": 1.5}
    assert figures(evidence)["waitSeconds"]["max"] == 2.8


def test_a_split_delays_only_trades_in_its_stock(evidence: Evidence) -> None:
    split = evidence.faults[0] | {"kind": "split", "values": {}}
    evidence.faults += [split | {"target": "KO"}, split | {"target": "AAPL"}]
    assert figures(evidence)["delayAfterSeconds"].keys() == {"kill lanes", "split AAPL"}
