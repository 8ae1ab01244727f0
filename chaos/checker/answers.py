"""Check what customers were told: final trades stay as shown, staff's controls hold, statuses are the promised ones."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from chaos.checker.case import Case
from chaos.checker.evidence import FINAL, NO_ANSWER, Json

CONTROL_SECONDS = 1.0
"""Until every door keeps to a control."""
CLAIM_SECONDS = 10.0
"""Until every lane does: one that is frozen with its claim on the way takes that long."""
STATUSES_ALLOWED = {NO_ANSWER, 200, 201, 204, 404, 405, 409, 422, 429, 503}


def what_was_told_as_final_stayed(case: Case) -> Iterator[str]:
    """Yield trades that differ from what a customer was shown, or were shown to somebody else."""
    for asked in case.told.requests:
        if asked["status"] not in (200, 201) or not asked["path"].startswith("/api/v1/trades"):
            continue
        answer = asked["answer"]
        shown = answer["results"] if isinstance(answer, dict) and "results" in answer else [answer]
        for seen in shown:
            trade = case.by_id.get(seen.get("tradeId"))
            if trade is None:
                if asked["method"] == "GET":
                    yield f"{seen.get('tradeId')} was shown and is not there"
                continue
            if trade["customer"] != asked["customer"]:
                yield f"{trade['id']} of customer {trade['customer']} was shown to {asked['customer']}"
            price = None if seen["price"] is None else Decimal(seen["price"])
            if seen["status"] in FINAL and (seen["status"], price, seen["reasonCode"] or "") != (
                trade["status"],
                trade["price"],
                trade["reason_code"],
            ):
                yield f"{trade['id']} was shown as {seen['status']} at {price}, and is {trade['status']}"


def what_staff_halted_and_limited_was_not_done(case: Case) -> Iterator[str]:
    """Yield trades that were placed or claimed against a halt, a restriction or a limit in force."""
    for fault in case.told.faults:
        word = fault["values"]
        if fault["kind"] != "staff" or "since" not in word:
            continue
        since, until = word["since"] + CONTROL_SECONDS, word["until"]
        for asked in case.placings:
            trade = case.by_id.get(asked["answer"]["tradeId"]) if asked["status"] == 201 else None
            if trade is not None and since < asked["began"] < asked["ended"] < until and _is_against(word, trade, case):
                yield f"{trade['id']} was placed against {fault['target']}"
        if word["does"] in {"halt-all", "halt-stock"}:
            for trade in case.trades:
                claimed = trade["claimed_at"] is not None and since + CLAIM_SECONDS < trade["claimed_at"] < until
                if claimed and _is_against(word, trade, case):
                    yield f"{trade['id']} was claimed against {fault['target']}"


def _is_against(word: Json, trade: Json, case: Case) -> bool:
    kind = word.get("kind")
    if kind == "shares_max":
        return bool(trade["quantity"] > int(word["value"]))
    if kind == "orders_a_minute_max":
        before = trade["sequence"] - int(word["value"])
        line = case.lines[trade["customer"]]
        return any(t["sequence"] == before and trade["placed_at"] - t["placed_at"] < 60 for t in line)
    return kind == "notional_max" or word.get("ticker", trade["ticker"]) == trade["ticker"]


def answers_are_the_promised_ones(case: Case) -> Iterator[str]:
    """Yield answers with an unexpected status, without Retry-After, or that are not JSON."""
    for asked in case.told.requests:
        what = f"{asked['method']} {asked['path']} at {asked['began']:.3f}"
        if asked["status"] not in STATUSES_ALLOWED:
            yield f"{what} was answered {asked['status']}: {str(asked['answer'])[:200]}"
        elif asked["status"] == 503 and not asked.get("retryAfter"):
            yield f"{what} was answered 503 without Retry-After: {str(asked['answer'])[:100]}"
        elif isinstance(asked["answer"], dict) and "notJson" in asked["answer"]:
            yield f"{what} was answered {asked['status']} with what is not JSON: {asked['answer']['notJson'][:100]}"
