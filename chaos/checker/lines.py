"""Check customers' lines: each trade is there once, in order, one at a time, and ends as the exchange says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

from chaos.checker.case import Case
from chaos.checker.evidence import FINAL, NO_ANSWER, Json, epoch


def every_placing_that_was_answered_is_there_once(case: Case) -> Iterator[str]:
    """Yield answered placings that are missing or doubled, and trades that nobody placed."""
    explained: set[str] = set()
    id_of: dict[tuple[int, str], str] = {}
    in_doubt: Counter[tuple[int, str, str, str, int]] = Counter()
    for asked in case.placings:
        body, who = asked["body"], (asked["customer"], asked["key"])
        terms = (body["stockTicker"], body["type"], body["quantity"])
        if asked["status"] in (200, 201):
            answer = asked["answer"]
            trade = case.by_id.get(answer["tradeId"])
            if trade is None:
                yield f"lost: {answer['tradeId']} was answered {asked['status']} and is not there"
                continue
            explained.add(trade["id"])
            if trade["customer"] != asked["customer"]:
                yield f"{trade['id']} was placed by {asked['customer']} and belongs to {trade['customer']}"
            if (trade["ticker"], trade["type"], trade["quantity"]) != terms:
                yield f"{trade['id']} was placed as {terms} and has other terms"
            if asked["status"] == 201 and answer["status"] != "PLACED":
                yield f"{trade['id']} was answered 201 as {answer['status']}"
            if asked["key"] and id_of.setdefault(who, trade["id"]) != trade["id"]:
                yield f"doubled: key {asked['key']} made {id_of[who]} and {trade['id']}"
        elif asked["status"] in (NO_ANSWER, 503):
            in_doubt[(asked["customer"], asked["key"], *terms)] += 1
    for trade in case.trades:
        if trade["id"] in explained:
            continue
        key = trade["key"] or ""
        doubt = (trade["customer"], key, trade["ticker"], trade["type"], trade["quantity"])
        if (trade["customer"], key) in id_of:
            yield f"doubled: {trade['id']} has key {key}, which made {id_of[(trade['customer'], key)]}"
        elif in_doubt[doubt] < 1:
            yield f"{trade['id']} is there, and nobody asked for it"
        else:
            in_doubt[doubt] = 0 if key else in_doubt[doubt] - 1


def a_line_has_no_gap_and_is_in_the_order_of_placing(case: Case) -> Iterator[str]:
    """Yield lines with a gap in their numbers, and trades that stand before one that was placed earlier."""
    for customer, line in case.lines.items():
        if [trade["sequence"] for trade in line] != list(range(1, len(line) + 1)):
            yield f"customer {customer}: numbers are {[trade['sequence'] for trade in line][:20]}…"
    # Of two placings of a customer, the one that was answered before the other was asked for comes first. A key that
    # was asked for several times was placed between the first time it was asked for and the first answer.
    first_asked: dict[Any, float] = {}
    first_answer: dict[str, tuple[float, float]] = {}
    for asked in sorted(case.placings, key=lambda asked: asked["began"]):
        name = (asked["customer"], asked["key"]) if asked["key"] else id(asked)
        first_asked.setdefault(name, asked["began"])
        if asked["status"] in (200, 201):
            trade_id = asked["answer"]["tradeId"]
            began, ended = first_answer.get(trade_id, (first_asked[name], asked["ended"]))
            first_answer[trade_id] = began, min(ended, asked["ended"])
    for customer, line in case.lines.items():
        latest_asked, latest = float("-inf"), ""
        for trade in line:
            if trade["id"] not in first_answer:
                continue
            began, ended = first_answer[trade["id"]]
            if ended < latest_asked:
                yield f"customer {customer}: {trade['id']} was answered before {latest} was asked for, and is behind it"
            if began > latest_asked:
                latest_asked, latest = began, trade["id"]


def the_exchange_received_a_line_in_order_and_one_at_a_time(case: Case) -> Iterator[str]:
    """Yield trades that the exchange got twice, out of order, or before the one ahead was final."""
    for trade_id, entries in case.at_exchange.items():
        if len(entries) > 1:
            yield f"{trade_id} is {len(entries)} times in the exchange's record"
        if trade_id not in case.known:
            yield f"{trade_id} is in the exchange's record and not in ours"
    for line in case.lines.values():
        sent = [(trade, entry) for trade in line for entry in case.at_exchange.get(trade["id"], [])]
        for (before, earlier), (after, later) in pairwise(sent):
            if earlier["sequence"] > later["sequence"]:
                yield f"out of order: {after['id']} came before {before['id']}"
            elif earlier["finalAt"] is None or _is_before(case, later["firstReceivedAt"], earlier["finalAt"]):
                yield f"two in flight: {after['id']} came before {before['id']} was final"


def _is_before(case: Case, one: str, other: str) -> bool:
    """Whether the exchange certainly wrote one time before the other: not where its clock was off when it did."""
    moments = [epoch(one), epoch(other)]
    for fault in case.told.faults:
        if fault["kind"] == "exchange clock":
            off = abs(fault["values"]["jumpSeconds"]) + 2.0
            if any(fault["began"] - off < moment < fault["ended"] + off for moment in moments):
                return False
    return moments[0] < moments[1]


def every_trade_is_final(case: Case) -> Iterator[str]:
    """Yield trades that are still open."""
    for trade in case.trades:
        if trade["status"] not in FINAL:
            yield f"{trade['id']} is {trade['status']}"


def a_trade_ended_as_the_exchange_says(case: Case) -> Iterator[str]:
    """Yield trades whose end or price differs from the exchange's record."""
    for trade in case.trades:
        entry = next(iter(case.at_exchange.get(trade["id"], [])), None)
        if trade["id"] in case.contradictions or trade["status"] not in FINAL:
            continue
        if entry is None:
            if trade["status"] == "FILLED":
                yield f"{trade['id']} is FILLED, and the exchange never had it"
        elif entry["status"] not in FINAL:
            yield f"{trade['id']} is {trade['status']}, and at the exchange {entry['status']}"
        elif trade["claimed_at"] is None:
            yield f"{trade['id']} was never claimed, and the exchange has it"
        elif entry["status"] != trade["status"]:
            yield f"{trade['id']} is {trade['status']}, and at the exchange {entry['status']}"
        elif entry["status"] == "FILLED" and (Decimal(entry["price"]), Decimal(entry["amount"])) != (
            trade["price"],
            trade["amount"],
        ):
            yield f"{trade['id']} was executed at {entry['price']}, and is booked at {trade['price']}"


def the_history_of_a_trade_is_whole(case: Case) -> Iterator[str]:
    """Yield trades whose status changes are not one of the allowed ways, or overlap the trade ahead."""
    ways = {
        ("PLACED", ()): 1,
        ("PLACED", ("IN PROGRESS",)): 1,
        ("PLACED", ("REJECTED",)): 1,
        ("PLACED", ("IN PROGRESS", "FILLED")): 1,
        ("PLACED", ("IN PROGRESS", "REJECTED")): 1,
    }
    history: dict[str, list[Json]] = defaultdict(list)
    for move in case.told.moves:
        history[move["trade"]].append(move)
    for trade in case.trades:
        moves = sorted(history.get(trade["id"], []), key=lambda move: move["id"])
        way = [move["to_status"] for move in moves]
        if not way or (way[0], tuple(way[1:])) not in ways or way[-1] != trade["status"]:
            yield f"{trade['id']} is {trade['status']}, its history {way}"
    # As the ids of moves tell it, which are drawn under the customer's lock: a claim follows the end of the one ahead.
    for line in case.lines.values():
        last_end = 0
        for trade in line:
            moves = sorted(history.get(trade["id"], []), key=lambda move: move["id"])
            for move in moves:
                if move["to_status"] == "IN PROGRESS" and move["id"] < last_end:
                    yield f"{trade['id']} was claimed before the one ahead of it had ended"
            last_end = max([last_end, *(move["id"] for move in moves if move["to_status"] in FINAL)])
