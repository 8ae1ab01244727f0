"""Checks the API's responses: final trades never change, trading controls are obeyed, statuses are documented ones."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from chaos.checker.case import Case
from chaos.checker.evidence import FINAL, NO_ANSWER, Json
from chaos.staff import Refused

CONTROL_SECONDS = 1.0
"""Time until every door obeys a new control."""
CLAIM_SECONDS = 10.0
"""Time until every lane obeys it: one that was frozen in the middle of a claim takes this long."""
STATUSES_ALLOWED = {NO_ANSWER, 200, 201, 204, 404, 405, 409, 422, 429, 503}


def final_trades_never_changed(case: Case) -> Iterator[str]:
    """Yield trades that changed after a customer saw them as final, or that another customer saw."""
    for request in case.evidence.requests:
        if request["status"] not in (200, 201) or not request["path"].startswith("/api/v1/trades"):
            continue
        answer = request["answer"]
        shown_trades = answer["results"] if isinstance(answer, dict) and "results" in answer else [answer]
        for shown_trade in shown_trades:
            trade = case.by_id.get(shown_trade.get("tradeId"))
            if trade is None:
                if request["method"] == "GET":
                    yield f"{shown_trade.get('tradeId')} was shown and is not there"
                continue
            if trade["customer"] != request["customer"]:
                yield f"{trade['id']} of customer {trade['customer']} was shown to {request['customer']}"
            price = None if shown_trade["price"] is None else Decimal(shown_trade["price"])
            if shown_trade["status"] in FINAL and (shown_trade["status"], price, shown_trade["reasonCode"] or "") != (
                trade["status"],
                trade["price"],
                trade["reason_code"],
            ):
                yield f"{trade['id']} was shown as {shown_trade['status']} at {price}, and is {trade['status']}"


def staff_were_not_refused(case: Case) -> Iterator[str]:
    """Yield halts and limits that the back office refused to set: they were never in force, so nothing was tried."""
    for fault in case.evidence.faults:
        if fault.get("error") == Refused.__name__:
            yield f"{fault['target']}: {fault['why']}"


def halts_and_limits_were_obeyed(case: Case) -> Iterator[str]:
    """Yield trades that were placed or claimed in spite of a halt, a restriction or a limit."""
    for fault in case.evidence.faults:
        control = fault["values"]
        if fault["kind"] != "staff" or "since" not in control:
            continue
        since, until = control["since"] + CONTROL_SECONDS, control["until"]
        for request in case.place_requests:
            trade = case.by_id.get(request["answer"]["tradeId"]) if request["status"] == 201 else None
            if (
                trade is not None
                and since < request["began"] < request["ended"] < until
                and _violates(control, trade, case)
            ):
                yield f"{trade['id']} was placed in spite of {fault['target']}"
        if control["does"] in {"halt-all", "halt-stock"}:
            for trade in case.trades:
                claimed = trade["claimed_at"] is not None and since + CLAIM_SECONDS < trade["claimed_at"] < until
                if claimed and _violates(control, trade, case):
                    yield f"{trade['id']} was claimed in spite of {fault['target']}"


def _violates(control: Json, trade: Json, case: Case) -> bool:
    kind = control.get("kind")
    if kind == "shares_max":
        return bool(trade["quantity"] > int(control["value"]))
    if kind == "orders_a_minute_max":
        before = trade["sequence"] - int(control["value"])
        line = case.lines[trade["customer"]]
        return any(earlier["sequence"] == before and trade["placed_at"] - earlier["placed_at"] < 60 for earlier in line)
    return kind == "notional_max" or control.get("ticker", trade["ticker"]) == trade["ticker"]


def answers_follow_the_api(case: Case) -> Iterator[str]:
    """Yield responses with an unexpected status, 503s without Retry-After, and responses that are not JSON."""
    for request in case.evidence.requests:
        call = f"{request['method']} {request['path']} at {request['began']:.3f}"
        if request["status"] not in STATUSES_ALLOWED:
            yield f"{call} was answered {request['status']}: {str(request['answer'])[:200]}"
        elif request["status"] == 503 and not request.get("retryAfter"):
            yield f"{call} was answered 503 without Retry-After: {str(request['answer'])[:100]}"
        elif isinstance(request["answer"], dict) and "notJson" in request["answer"]:
            yield f"{call} was answered {request['status']} without JSON: {request['answer']['notJson'][:100]}"
