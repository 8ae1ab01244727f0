"""Prove from three witnesses that no trade or transfer was lost, doubled or stuck, and no balance below zero.

The witnesses: the record of every request with its answer; the exchange's own record; the tables, read with SQL of our
own. Nothing of the brokerage's code is used. `violations` says in words what was broken; `figures` how long it took.

The exchange can contradict itself: its record says one thing and a signed report of it another (`contradictRate`).
Which of the two comes first is the network's context, and a broker takes the first. So the books must follow the first
final report that kept to the terms; where that one is not in the exchange's record, the trade is counted under
`exchangeContradictedItself`, and must fall into a time in which the exchange was told to do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chaos.checker import answers, books, lines
from chaos.checker.case import Case
from chaos.checker.evidence import FINAL, Evidence, Json, gather, read_exchange, read_tables, wait_until_final
from chaos.checker.figures import figures

__all__ = [
    "FINAL",
    "Evidence",
    "Json",
    "figures",
    "gather",
    "read_exchange",
    "read_tables",
    "violations",
    "wait_until_final",
]

CHECKS: Sequence[Callable[[Case], Iterable[str]]] = (
    lines.every_placing_that_was_answered_is_there_once,
    lines.a_line_has_no_gap_and_is_in_the_order_of_placing,
    lines.the_exchange_received_a_line_in_order_and_one_at_a_time,
    lines.every_trade_is_final,
    lines.a_trade_ended_as_the_exchange_says,
    books.the_books_are_what_deposits_and_fills_make,
    books.every_transfer_that_was_answered_is_there_once,
    books.nothing_was_below_zero_at_any_posting,
    books.a_fill_is_posted_once_at_its_price_and_nothing_else_is,
    answers.what_was_told_as_final_stayed,
    lines.the_history_of_a_trade_is_whole,
    answers.what_staff_halted_and_limited_was_not_done,
    answers.answers_are_the_promised_ones,
)


def violations(told: Evidence) -> list[str]:
    """Return every promise that was broken, in words."""
    case = Case(told)
    return [f"{check.__name__.replace('_', ' ')}: {words}" for check in CHECKS for words in check(case)]
