"""The checker finds each violation in the evidence, and none in correct evidence."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from decimal import Decimal

import pytest

from chaos.checker import Evidence, figures, violations
from tests.chaos.evidence import BOB, START, all_is_well, placing, report_body, trade, with_a_split, with_fees


@pytest.fixture
def evidence() -> Evidence:
    return all_is_well()


def test_it_finds_nothing_if_all_is_well(evidence: Evidence) -> None:
    assert violations(evidence) == []


def test_a_split_as_it_should_be_is_no_violation(evidence: Evidence) -> None:
    with_a_split(evidence)
    assert violations(evidence) == []


def test_fees_as_they_should_be_are_no_violation(evidence: Evidence) -> None:
    with_fees(evidence)
    assert violations(evidence) == []


def forget_the_fees(evidence: Evidence) -> None:
    evidence.fee_rates.append(
        {"kind": "cat", "first_day": date(2026, 1, 1), "last_day": None, "maximum": None}
        | {"per_usd": Decimal(0), "per_share": Decimal("0.00001")}
    )
    for each in evidence.trades:
        each["traded_on"] = date(2026, 1, 2)


def charge_twice_the_fees(evidence: Evidence) -> None:
    with_fees(evidence)
    evidence.fee_rates.clear()


def lose_a_trade(evidence: Evidence) -> None:
    evidence.requests.append(placing(9))


def place_one_twice(evidence: Evidence) -> None:
    evidence.trades.append(trade(3) | {"id": "t4", "sequence": 4})


def place_one_that_nobody_asked_for(evidence: Evidence) -> None:
    evidence.trades.append(trade(4) | {"key": None})


def answer_one_key_with_two_trades(evidence: Evidence) -> None:
    evidence.requests[1]["key"] = "k1"


def change_the_terms(evidence: Evidence) -> None:
    evidence.trades[0]["quantity"] = 3


def give_it_to_bob(evidence: Evidence) -> None:
    evidence.trades[1]["customer"] = BOB


def leave_a_gap(evidence: Evidence) -> None:
    evidence.trades[2]["sequence"] = 4


def swap_two_in_line(evidence: Evidence) -> None:
    evidence.trades[0]["sequence"], evidence.trades[1]["sequence"] = 2, 1


def swap_two_at_the_exchange(evidence: Evidence) -> None:
    evidence.exchange[0]["sequence"], evidence.exchange[1]["sequence"] = 2, 1


def send_two_at_once(evidence: Evidence) -> None:
    evidence.exchange[1]["firstReceivedAt"] = evidence.exchange[0]["firstReceivedAt"]


def execute_twice(evidence: Evidence) -> None:
    evidence.exchange.append(evidence.exchange[0] | {"sequence": 9})


def execute_what_nobody_placed(evidence: Evidence) -> None:
    evidence.exchange.append(evidence.exchange[0] | {"sequence": 9, "tradeId": "t9"})


def leave_one_in_progress(evidence: Evidence) -> None:
    evidence.trades[2]["status"] = "IN PROGRESS"


def book_another_price(evidence: Evidence) -> None:
    evidence.trades[0]["price"] = Decimal("9.0000")


def reject_what_was_filled(evidence: Evidence) -> None:
    evidence.trades[0] |= {"status": "REJECTED", "price": None, "amount": None}


def fill_what_the_exchange_never_had(evidence: Evidence) -> None:
    del evidence.exchange[2]


def believe_a_false_report_that_nobody_ordered(evidence: Evidence) -> None:
    evidence.reports[0]["body"] = json.dumps(report_body(1, executionId="false", status="REJECTED"))
    evidence.trades[0] |= {"status": "REJECTED", "price": None, "amount": None}


def make_money(evidence: Evidence) -> None:
    evidence.balances[0]["amount"] += Decimal("0.0001")


def lose_a_share(evidence: Evidence) -> None:
    evidence.positions[0]["quantity"] -= 1


def hold_for_nothing(evidence: Evidence) -> None:
    evidence.balances[0]["held"] = Decimal("0.0001")


def hold_shares_for_nothing(evidence: Evidence) -> None:
    evidence.positions[0]["held"] = 1


def lose_a_withdrawal(evidence: Evidence) -> None:
    del evidence.transfers[1]


def withdraw_twice(evidence: Evidence) -> None:
    evidence.transfers.append(evidence.transfers[1] | {"id": "v"})


def withdraw_another_amount(evidence: Evidence) -> None:
    evidence.transfers[1]["amount"] = Decimal("5.0001")


def go_below_zero_for_a_moment(evidence: Evidence) -> None:
    evidence.postings[0]["id"] = 99


def post_twice(evidence: Evidence) -> None:
    evidence.postings.append(evidence.postings[1] | {"id": 50})


def post_at_another_price(evidence: Evidence) -> None:
    evidence.postings[1]["price"] = Decimal("9.0000")


def post_what_nothing_caused(evidence: Evidence) -> None:
    evidence.postings[1]["cause"] = "nothing"


def change_a_final_trade(evidence: Evidence) -> None:
    response = {"tradeId": "t1", "status": "REJECTED", "price": None, "reasonCode": "expired"}
    evidence.requests.append(
        placing(1) | {"method": "GET", "path": "/api/v1/trades/t1", "status": 200, "answer": response}
    )


def show_bobs_to_alice(evidence: Evidence) -> None:
    response = {"tradeId": "t1", "status": "FILLED", "price": "10.0000", "reasonCode": None}
    evidence.requests.append(
        placing(1) | {"customer": BOB, "method": "GET", "path": "/api/v1/trades/t1", "status": 200, "answer": response}
    )


def end_twice(evidence: Evidence) -> None:
    evidence.status_changes.append({"id": 99, "trade": "t1", "to_status": "REJECTED"})


def claim_before_the_one_ahead_had_ended(evidence: Evidence) -> None:
    evidence.status_changes[4]["id"], evidence.status_changes[2]["id"] = (
        evidence.status_changes[2]["id"],
        evidence.status_changes[4]["id"],
    )


def answer_500(evidence: Evidence) -> None:
    evidence.requests.append(placing(9, status=500))


def answer_503_without_saying_when_to_come_back(evidence: Evidence) -> None:
    evidence.requests.append(placing(9, status=503) | {"retryAfter": None})


def answer_with_a_page(evidence: Evidence) -> None:
    evidence.requests.append(placing(9, status=422) | {"answer": {"notJson": "<html>"}})


def staff(evidence: Evidence, action: str, since: float, until: float, **parameters: str) -> None:
    values = {"does": action, "since": START + since, "until": START + until, **parameters}
    row = {"kind": "staff", "target": action, "values": values, "began": START + since, "ended": START + until}
    evidence.faults.append(row | {"done": True})


def place_while_all_is_halted(evidence: Evidence) -> None:
    staff(evidence, "halt-all", 18, 22)


def place_a_restricted_stock(evidence: Evidence) -> None:
    staff(evidence, "restrict-stock", 18, 22, ticker="AAPL")


def place_too_many_shares(evidence: Evidence) -> None:
    staff(evidence, "limit", 18, 22, kind="shares_max", value="1")


def place_too_much_money(evidence: Evidence) -> None:
    staff(evidence, "limit", 18, 22, kind="notional_max", value="1")


def place_too_often(evidence: Evidence) -> None:
    staff(evidence, "limit", 28, 32, kind="orders_a_minute_max", value="2")


def claim_what_is_halted(evidence: Evidence) -> None:
    staff(evidence, "halt-stock", 9.8, 21.8, ticker="AAPL")
    evidence.requests[1] |= {
        "began": START + 10.7
    }  # requested before the halt, but claimed after every lane knew of it


def leave_a_holder_out(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.entitlements.clear()
    del evidence.postings[-2:]
    evidence.positions[0]["quantity"], evidence.balances[0]["amount"] = 6, Decimal(35)


def split_for_a_holder_twice(evidence: Evidence) -> None:
    with_a_split(evidence)
    evidence.entitlements.append(evidence.entitlements[0] | {"id": "again"})


def split_into_a_share_too_many(evidence: Evidence) -> None:
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


BREAKS: list[Callable[[Evidence], None]] = [
    forget_the_fees,
    charge_twice_the_fees,
    lose_a_trade,
    place_one_twice,
    place_one_that_nobody_asked_for,
    answer_one_key_with_two_trades,
    change_the_terms,
    give_it_to_bob,
    leave_a_gap,
    swap_two_in_line,
    swap_two_at_the_exchange,
    send_two_at_once,
    execute_twice,
    execute_what_nobody_placed,
    leave_one_in_progress,
    book_another_price,
    reject_what_was_filled,
    fill_what_the_exchange_never_had,
    believe_a_false_report_that_nobody_ordered,
    make_money,
    lose_a_share,
    hold_for_nothing,
    hold_shares_for_nothing,
    lose_a_withdrawal,
    withdraw_twice,
    withdraw_another_amount,
    go_below_zero_for_a_moment,
    post_twice,
    post_at_another_price,
    post_what_nothing_caused,
    change_a_final_trade,
    show_bobs_to_alice,
    end_twice,
    claim_before_the_one_ahead_had_ended,
    answer_500,
    answer_503_without_saying_when_to_come_back,
    answer_with_a_page,
    place_while_all_is_halted,
    place_a_restricted_stock,
    place_too_many_shares,
    place_too_much_money,
    place_too_often,
    claim_what_is_halted,
    leave_a_holder_out,
    split_for_a_holder_twice,
    split_into_a_share_too_many,
    keep_the_cash_in_lieu,
    lose_a_share_in_a_split,
    leave_a_split_half_done,
    fill_while_the_stock_is_split,
]


@pytest.mark.parametrize("break_promise", BREAKS, ids=lambda break_promise: break_promise.__name__)
def test_it_finds_each_planted_violation(evidence: Evidence, break_promise: Callable[[Evidence], None]) -> None:
    before = deepcopy(evidence)
    break_promise(evidence)
    assert evidence != before, "the evidence is unchanged"
    assert violations(evidence)


def test_a_control_binds_once_every_process_knows_it_and_until_it_is_lifted(evidence: Evidence) -> None:
    staff(evidence, "halt-all", 19.5, 29.5)
    staff(evidence, "restrict-stock", 5, 40, ticker="WMT")
    staff(evidence, "limit", 5, 40, kind="shares_max", value="2")
    staff(evidence, "limit", 5, 40, kind="orders_a_minute_max", value="3")
    assert violations(evidence) == []


def test_times_of_the_exchange_prove_nothing_while_its_clock_is_off(evidence: Evidence) -> None:
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


def test_a_false_report_that_the_exchange_was_told_to_make_is_followed_and_counted(evidence: Evidence) -> None:
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


def test_delays_are_counted_from_when_a_fault_was_over(evidence: Evidence) -> None:
    assert figures(evidence)["delayAfterSeconds"]["kill lanes"] == {"trades": 1, "p50": 1.5, "p99": 1.5, "max": 1.5}
    assert figures(evidence)["waitSeconds"]["max"] == 2.8
