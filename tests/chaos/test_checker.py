"""The checker sees what it is there to see: each planted violation is found, and none where all is well."""

import json
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal

import pytest

from chaos.checker import Evidence, figures, violations
from tests.chaos.evidence import BOB, START, all_is_well, placing, trade, word


@pytest.fixture
def told() -> Evidence:
    return all_is_well()


def test_where_all_is_well_it_finds_nothing(told: Evidence) -> None:
    assert violations(told) == []


def lose_a_trade(told: Evidence) -> None:
    told.requests.append(placing(9))


def place_one_twice(told: Evidence) -> None:
    told.trades.append(trade(3) | {"id": "t4", "sequence": 4})


def place_one_that_nobody_asked_for(told: Evidence) -> None:
    told.trades.append(trade(4) | {"key": None})


def answer_one_key_with_two_trades(told: Evidence) -> None:
    told.requests[1]["key"] = "k1"


def change_the_terms(told: Evidence) -> None:
    told.trades[0]["quantity"] = 3


def give_it_to_bob(told: Evidence) -> None:
    told.trades[1]["customer"] = BOB


def leave_a_gap(told: Evidence) -> None:
    told.trades[2]["sequence"] = 4


def swap_two_in_line(told: Evidence) -> None:
    told.trades[0]["sequence"], told.trades[1]["sequence"] = 2, 1


def swap_two_at_the_exchange(told: Evidence) -> None:
    told.exchange[0]["sequence"], told.exchange[1]["sequence"] = 2, 1


def send_two_at_once(told: Evidence) -> None:
    told.exchange[1]["firstReceivedAt"] = told.exchange[0]["firstReceivedAt"]


def execute_twice(told: Evidence) -> None:
    told.exchange.append(told.exchange[0] | {"sequence": 9})


def execute_what_nobody_placed(told: Evidence) -> None:
    told.exchange.append(told.exchange[0] | {"sequence": 9, "tradeId": "t9"})


def leave_one_in_progress(told: Evidence) -> None:
    told.trades[2]["status"] = "IN PROGRESS"


def book_another_price(told: Evidence) -> None:
    told.trades[0]["price"] = Decimal("9.0000")


def reject_what_was_filled(told: Evidence) -> None:
    told.trades[0] |= {"status": "REJECTED", "price": None, "amount": None}


def fill_what_the_exchange_never_had(told: Evidence) -> None:
    del told.exchange[2]


def believe_a_false_report_that_nobody_ordered(told: Evidence) -> None:
    told.reports[0]["body"] = json.dumps(word(1, executionId="false", status="REJECTED"))
    told.trades[0] |= {"status": "REJECTED", "price": None, "amount": None}


def make_money(told: Evidence) -> None:
    told.balances[0]["amount"] += Decimal("0.0001")


def lose_a_share(told: Evidence) -> None:
    told.positions[0]["quantity"] -= 1


def hold_for_nothing(told: Evidence) -> None:
    told.balances[0]["held"] = Decimal("0.0001")


def hold_shares_for_nothing(told: Evidence) -> None:
    told.positions[0]["held"] = 1


def lose_a_withdrawal(told: Evidence) -> None:
    del told.transfers[1]


def withdraw_twice(told: Evidence) -> None:
    told.transfers.append(told.transfers[1] | {"id": "v"})


def withdraw_another_amount(told: Evidence) -> None:
    told.transfers[1]["amount"] = Decimal("5.0001")


def go_below_zero_for_a_moment(told: Evidence) -> None:
    told.postings[0]["id"] = 99


def post_twice(told: Evidence) -> None:
    told.postings.append(told.postings[1] | {"id": 50})


def post_at_another_price(told: Evidence) -> None:
    told.postings[1]["price"] = Decimal("9.0000")


def post_what_nothing_caused(told: Evidence) -> None:
    told.postings[1]["cause"] = "nothing"


def change_a_final_trade(told: Evidence) -> None:
    shown = {"tradeId": "t1", "status": "REJECTED", "price": None, "reasonCode": "expired"}
    told.requests.append(placing(1) | {"method": "GET", "path": "/api/v1/trades/t1", "status": 200, "answer": shown})


def show_bobs_to_alice(told: Evidence) -> None:
    shown = {"tradeId": "t1", "status": "FILLED", "price": "10.0000", "reasonCode": None}
    told.requests.append(
        placing(1) | {"customer": BOB, "method": "GET", "path": "/api/v1/trades/t1", "status": 200, "answer": shown}
    )


def end_twice(told: Evidence) -> None:
    told.moves.append({"id": 99, "trade": "t1", "to_status": "REJECTED"})


def claim_before_the_one_ahead_had_ended(told: Evidence) -> None:
    told.moves[4]["id"], told.moves[2]["id"] = (
        told.moves[2]["id"],
        told.moves[4]["id"],
    )


def answer_500(told: Evidence) -> None:
    told.requests.append(placing(9, status=500))


def answer_503_without_saying_when_to_come_back(told: Evidence) -> None:
    told.requests.append(placing(9, status=503) | {"retryAfter": None})


def answer_with_a_page(told: Evidence) -> None:
    told.requests.append(placing(9, status=422) | {"answer": {"notJson": "<html>"}})


def staff(told: Evidence, does: str, since: float, until: float, **word: str) -> None:
    values = {"does": does, "since": START + since, "until": START + until, **word}
    row = {"kind": "staff", "target": does, "values": values, "began": START + since, "ended": START + until}
    told.faults.append(row | {"done": True})


def place_while_all_is_halted(told: Evidence) -> None:
    staff(told, "halt-all", 18, 22)


def place_a_restricted_stock(told: Evidence) -> None:
    staff(told, "restrict-stock", 18, 22, ticker="AAPL")


def place_too_many_shares(told: Evidence) -> None:
    staff(told, "limit", 18, 22, kind="shares_max", value="1")


def place_too_much_money(told: Evidence) -> None:
    staff(told, "limit", 18, 22, kind="notional_max", value="1")


def place_too_often(told: Evidence) -> None:
    staff(told, "limit", 28, 32, kind="orders_a_minute_max", value="2")


def claim_what_is_halted(told: Evidence) -> None:
    staff(told, "halt-stock", 9.8, 21.8, ticker="AAPL")
    told.requests[1] |= {"began": START + 10.7}  # asked for in time, and claimed when every lane knew


PLANTED: list[Callable[[Evidence], None]] = [
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
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_it_finds_what_was_planted(told: Evidence, plant: Callable[[Evidence], None]) -> None:
    before = deepcopy(told)
    plant(told)
    assert told != before, "nothing was planted"
    assert violations(told)


def test_a_switch_binds_once_every_process_knows_it_and_until_it_is_lifted(told: Evidence) -> None:
    staff(told, "halt-all", 19.5, 29.5)
    staff(told, "restrict-stock", 5, 40, ticker="WMT")
    staff(told, "limit", 5, 40, kind="shares_max", value="2")
    staff(told, "limit", 5, 40, kind="orders_a_minute_max", value="3")
    assert violations(told) == []


def test_where_the_exchanges_clock_was_off_its_times_prove_nothing(told: Evidence) -> None:
    told.exchange[1]["firstReceivedAt"] = told.exchange[0]["firstReceivedAt"]
    jump = {"kind": "exchange clock", "target": "exchange", "values": {"jumpSeconds": -10}, "done": True}
    told.faults = [jump | {"began": START + 18, "ended": START + 22}]
    assert violations(told) == []
    told.faults = [jump | {"began": START + 60, "ended": START + 62}]
    assert any("two in flight" in words for words in violations(told))


def test_what_was_not_answered_may_be_there_or_not(told: Evidence) -> None:
    told.requests[2] |= {"status": 0, "answer": None}
    told.requests.append(placing(9, status=0))
    assert violations(told) == []


def test_a_false_report_that_the_exchange_was_told_to_make_is_followed_and_counted(told: Evidence) -> None:
    contradict = {
        "kind": "exchange",
        "target": "",
        "values": {"contradictRate": 1},
        "began": START + 11,
        "ended": START + 12,
    }
    told.faults.append(contradict | {"done": True})
    told.reports[0]["body"] = json.dumps(word(1, executionId="false", price="9.0000", amount="18.0000"))
    told.trades[0] |= {"price": Decimal("9.0000"), "amount": Decimal("18.0000")}
    told.postings[1] |= {"price": Decimal("9.0000"), "change": Decimal("-18.0000")}
    told.postings[2] |= {"price": Decimal("9.0000")}
    for posting in told.postings[1:]:
        if posting["ticker"] == "":
            posting["total"] += 2
    told.balances[0]["amount"] += 2
    assert violations(told) == []
    assert figures(told)["exchangeContradictedItself"] == 1


def test_delays_are_counted_from_when_a_fault_was_over(told: Evidence) -> None:
    assert figures(told)["delayAfterSeconds"]["kill lanes"] == {"trades": 1, "p50": 1.5, "p99": 1.5, "max": 1.5}
    assert figures(told)["waitSeconds"]["max"] == 2.8
