"""The evidence of one run, indexed for the checks."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal

from chaos.checker.evidence import FINAL, Evidence, Json

CONTRADICTION_SECONDS = 120.0
"""A false report can arrive this long after the fault ended, because the exchange retries while we are down."""


class Case:
    """The evidence, indexed for the checks."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        customer_ids = {account["customer"] for account in evidence.accounts}
        self.trades = [trade for trade in evidence.trades if trade["customer"] in customer_ids]
        self.by_id = {trade["id"]: trade for trade in self.trades}
        self.known = {trade["id"] for trade in evidence.trades}
        self.lines: dict[int, list[Json]] = defaultdict(list)
        for trade in sorted(self.trades, key=lambda trade: trade["sequence"]):
            self.lines[trade["customer"]].append(trade)
        self.at_exchange: dict[str, list[Json]] = defaultdict(list)
        for entry in evidence.exchange:
            self.at_exchange[entry["tradeId"]].append(entry)
        self.place_requests = [
            request
            for request in evidence.requests
            if (request["method"], request["path"]) == ("POST", "/api/v1/trades")
        ]
        self.transfers = {
            transfer["id"]: transfer for transfer in evidence.transfers if transfer["customer"] in customer_ids
        }
        self.transfer_requests = [
            request for request in evidence.requests if request["path"] in {"/api/v1/deposits", "/api/v1/withdrawals"}
        ]
        self.reports: dict[str, list[Json]] = defaultdict(list)
        for report in evidence.reports:
            self.reports[report["trade"]].append(report)
        self.contradictions = contradicted(self)


def contradicted(case: Case) -> set[str]:
    """Return the trades whose first final report within the terms contradicts the exchange's own record.

    Counts only trades that were reported while the exchange had the order to contradict itself, and that were booked
    exactly as reported.
    """
    windows = [
        (fault["began"], fault["ended"] + CONTRADICTION_SECONDS)
        for fault in case.evidence.faults
        if fault["kind"] == "exchange" and "contradictRate" in fault["values"]
    ]
    trade_ids = set()
    for trade in case.trades:
        entry = next(iter(case.at_exchange.get(trade["id"], [])), None)
        if entry is None or trade["status"] not in FINAL:
            continue
        for report in case.reports.get(trade["id"], []):
            content = json.loads(report["body"])
            if content["quantity"] != trade["quantity"] or content["status"] not in FINAL:
                continue
            is_booked = content["status"] == trade["status"] and (
                content["status"] == "REJECTED"
                or (Decimal(content["price"]), Decimal(content["amount"])) == (trade["price"], trade["amount"])
            )
            is_false = content["executionId"] != entry["executionId"]
            is_ordered = any(began <= report["received_at"] <= ended for began, ended in windows)
            if is_false and is_booked and is_ordered and report["outcome"] == "settled":
                trade_ids.add(trade["id"])
            # A BUY's false fill may cost more than its hold: then it breaks the terms, and the next report counts.
            if report["outcome"] == "settled":
                break
    return trade_ids
