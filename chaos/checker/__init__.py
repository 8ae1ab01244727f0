"""Proves that no trade or transfer was lost, duplicated or stuck, and that no balance went below zero.

There are three sources of evidence: the record of every request with its response, the exchange's own record, and the
tables, read with SQL. No code of the brokerage is used. `violations` describes broken promises; `figures` counts and
times the trades.

The exchange can contradict itself: its record says one thing and one of its signed reports another (`contradictRate`).
The network decides which of the two arrives first, and a broker acts on the first. So the books must follow the first
final report that kept to the trade's terms. If that report differs from the exchange's record, the trade is counted
under `exchangeContradictedItself`, which is allowed only while that fault was in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chaos.checker import answers, books, lines, splits
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
    lines.answered_trades_exist_exactly_once,
    lines.lines_are_gapless_and_in_placing_order,
    lines.exchange_got_lines_in_order_one_at_a_time,
    lines.every_trade_is_final,
    lines.outcomes_match_the_exchange,
    books.books_match_transfers_and_fills,
    books.answered_transfers_exist_exactly_once,
    books.balances_never_went_negative,
    books.fills_are_posted_exactly_once_at_their_price,
    splits.splits_reached_each_holder_once,
    splits.no_trade_was_open_during_a_split,
    answers.final_trades_never_changed,
    lines.histories_are_complete,
    answers.staff_were_not_refused,
    answers.halts_and_limits_were_obeyed,
    answers.answers_follow_the_api,
)


def violations(evidence: Evidence) -> list[str]:
    """Return a description of every broken promise."""
    case = Case(evidence)
    return [f"{check.__name__.replace('_', ' ')}: {violation}" for check in CHECKS for violation in check(case)]
