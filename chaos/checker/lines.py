"""Checks customers' lines: each trade exists once, runs in order and alone, and ends as the exchange says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

from chaos.checker.case import Case
from chaos.checker.evidence import FINAL, NO_ANSWER, Json, epoch


def answered_trades_exist_exactly_once(case: Case) -> Iterator[str]:
    """Yield trades that were answered but are missing or duplicated, and trades that nobody placed."""
    explained: set[str] = set()
    id_of: dict[tuple[int, str], str] = {}
    in_doubt: Counter[tuple[int, str, str, str, int]] = Counter()
    for request in case.place_requests:
        body, customer_key = request["body"], (request["customer"], request["key"])
        terms = (body["stockTicker"], body["type"], body["quantity"])
        if request["status"] in (200, 201):
            answer = request["answer"]
            trade = case.by_id.get(answer["tradeId"])
            if trade is None:
                yield f"lost: {answer['tradeId']} was answered {request['status']} and is not there"
                continue
            explained.add(trade["id"])
            if trade["customer"] != request["customer"]:
                yield f"{trade['id']} was placed by {request['customer']} and belongs to {trade['customer']}"
            if (trade["ticker"], trade["type"], trade["quantity"]) != terms:
                yield f"{trade['id']} was placed as {terms} and has other terms"
            if request["status"] == 201 and answer["status"] != "PLACED":
                yield f"{trade['id']} was answered 201 as {answer['status']}"
            if request["key"] and id_of.setdefault(customer_key, trade["id"]) != trade["id"]:
                yield f"doubled: key {request['key']} made {id_of[customer_key]} and {trade['id']}"
        elif request["status"] in (NO_ANSWER, 503):
            in_doubt[(request["customer"], request["key"], *terms)] += 1
    for trade in case.trades:
        if trade["id"] in explained:
            continue
        key = trade["key"] or ""
        doubt = (trade["customer"], key, trade["ticker"], trade["type"], trade["quantity"])
        if (trade["customer"], key) in id_of:
            yield f"doubled: {trade['id']} has key {key}, which made {id_of[(trade['customer'], key)]}"
        elif in_doubt[doubt] < 1:
            yield f"{trade['id']} exists, but nobody requested it"
        else:
            in_doubt[doubt] = 0 if key else in_doubt[doubt] - 1


def lines_are_gapless_and_in_placing_order(case: Case) -> Iterator[str]:
    """Yield lines with a gap in their numbers, and trades that are ahead of one that was placed earlier."""
    for customer, line in case.lines.items():
        if [trade["sequence"] for trade in line] != list(range(1, len(line) + 1)):
            yield f"customer {customer}: numbers are {[trade['sequence'] for trade in line][:20]}…"
    # If a customer got one trade's response before requesting another, the first trade must be ahead of the second. A
    # key that was requested several times was placed between its first request and its first response.
    first_asked: dict[Any, float] = {}
    first_answer: dict[str, tuple[float, float]] = {}
    for request in sorted(case.place_requests, key=lambda request: request["began"]):
        name = (request["customer"], request["key"]) if request["key"] else id(request)
        first_asked.setdefault(name, request["began"])
        if request["status"] in (200, 201):
            trade_id = request["answer"]["tradeId"]
            began, ended = first_answer.get(trade_id, (first_asked[name], request["ended"]))
            first_answer[trade_id] = began, min(ended, request["ended"])
    for customer, line in case.lines.items():
        latest_asked, latest = float("-inf"), ""
        for trade in line:
            if trade["id"] not in first_answer:
                continue
            began, ended = first_answer[trade["id"]]
            if ended < latest_asked:
                yield f"customer {customer}: {trade['id']} was answered before {latest} was requested, but is behind it"
            if began > latest_asked:
                latest_asked, latest = began, trade["id"]


def exchange_got_lines_in_order_one_at_a_time(case: Case) -> Iterator[str]:
    """Yield trades that the exchange received twice, out of order, or before the one ahead was final."""
    for trade_id, entries in case.at_exchange.items():
        if len(entries) > 1:
            yield f"{trade_id} is in the exchange's record {len(entries)} times"
        if trade_id not in case.known:
            yield f"{trade_id} is in the exchange's record but not in ours"
    for line in case.lines.values():
        sent = [(trade, entry) for trade in line for entry in case.at_exchange.get(trade["id"], [])]
        for (before, earlier), (after, later) in pairwise(sent):
            if earlier["sequence"] > later["sequence"]:
                yield f"out of order: {after['id']} came before {before['id']}"
            elif earlier["finalAt"] is None or _is_before(case, later["firstReceivedAt"], earlier["finalAt"]):
                yield f"two in flight: {after['id']} came before {before['id']} was final"


def _is_before(case: Case, first: str, second: str) -> bool:
    """Return whether one time of the exchange is certainly before the other, given the faults of its clock."""
    moments = [epoch(first), epoch(second)]
    for fault in case.evidence.faults:
        if fault["kind"] == "exchange clock":
            margin = abs(fault["values"]["jumpSeconds"]) + 2.0
            if any(fault["began"] - margin < moment < fault["ended"] + margin for moment in moments):
                return False
    return moments[0] < moments[1]


def every_trade_is_final(case: Case) -> Iterator[str]:
    """Yield trades that are still open."""
    for trade in case.trades:
        if trade["status"] not in FINAL:
            yield f"{trade['id']} is {trade['status']}"


def outcomes_match_the_exchange(case: Case) -> Iterator[str]:
    """Yield trades whose outcome or price differs from the exchange's record."""
    for trade in case.trades:
        entry = next(iter(case.at_exchange.get(trade["id"], [])), None)
        if trade["id"] in case.contradictions or trade["status"] not in FINAL:
            continue
        if entry is None:
            if trade["status"] == "FILLED":
                yield f"{trade['id']} is FILLED, but the exchange never had it"
        elif entry["status"] not in FINAL:
            yield f"{trade['id']} is {trade['status']}, but {entry['status']} at the exchange"
        elif trade["claimed_at"] is None:
            yield f"{trade['id']} was never claimed, but the exchange has it"
        elif entry["status"] != trade["status"]:
            yield f"{trade['id']} is {trade['status']}, but {entry['status']} at the exchange"
        elif entry["status"] == "FILLED" and (Decimal(entry["price"]), Decimal(entry["amount"])) != (
            trade["price"],
            trade["amount"],
        ):
            yield f"{trade['id']} was executed at {entry['price']}, but booked at {trade['price']}"


def histories_are_complete(case: Case) -> Iterator[str]:
    """Yield trades with a sequence of statuses that isn't allowed, or that overlaps with the trade ahead."""
    allowed = {
        ("PLACED",),
        ("PLACED", "IN PROGRESS"),
        ("PLACED", "REJECTED"),
        ("PLACED", "IN PROGRESS", "FILLED"),
        ("PLACED", "IN PROGRESS", "REJECTED"),
    }
    history: dict[str, list[Json]] = defaultdict(list)
    for change in case.evidence.status_changes:
        history[change["trade"]].append(change)
    for trade in case.trades:
        status_changes = sorted(history.get(trade["id"], []), key=lambda change: change["id"])
        statuses = tuple(change["to_status"] for change in status_changes)
        if statuses not in allowed or statuses[-1] != trade["status"]:
            yield f"{trade['id']} is {trade['status']}, but its history is {list(statuses)}"
    # Ids of status changes are drawn under the customer's lock, so they show that a claim follows the end of the trade
    # ahead.
    for line in case.lines.values():
        last_end = 0
        for trade in line:
            status_changes = sorted(history.get(trade["id"], []), key=lambda change: change["id"])
            for change in status_changes:
                if change["to_status"] == "IN PROGRESS" and change["id"] < last_end:
                    yield f"{trade['id']} was claimed before the trade ahead of it had ended"
            last_end = max([last_end, *(change["id"] for change in status_changes if change["to_status"] in FINAL)])
