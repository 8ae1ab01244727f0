"""The evidence about one run, sorted for the checks."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal

from chaos.checker.evidence import FINAL, Evidence, Json

CONTRADICTION_SECONDS = 120.0
"""A false report can arrive this long after the exchange was told to make some: it waits for whoever is away."""


class Case:
    """The evidence, indexed for the checks."""

    def __init__(self, told: Evidence) -> None:
        self.told = told
        ours = {account["customer"] for account in told.accounts}
        self.trades = [trade for trade in told.trades if trade["customer"] in ours]
        self.by_id = {trade["id"]: trade for trade in self.trades}
        self.known = {trade["id"] for trade in told.trades}
        self.lines: dict[int, list[Json]] = defaultdict(list)
        for trade in sorted(self.trades, key=lambda trade: trade["sequence"]):
            self.lines[trade["customer"]].append(trade)
        self.at_exchange: dict[str, list[Json]] = defaultdict(list)
        for entry in told.exchange:
            self.at_exchange[entry["tradeId"]].append(entry)
        self.placings = [r for r in told.requests if (r["method"], r["path"]) == ("POST", "/api/v1/trades")]
        self.transfers = {t["id"]: t for t in told.transfers if t["customer"] in ours}
        self.movings = [r for r in told.requests if r["path"] in {"/api/v1/deposits", "/api/v1/withdrawals"}]
        self.reports: dict[str, list[Json]] = defaultdict(list)
        for report in told.reports:
            self.reports[report["trade"]].append(report)
        self.contradictions = contradicted(self)


def contradicted(case: Case) -> set[str]:
    """Return the trades whose first final report within the terms contradicts the exchange's own record.

    Only where the exchange was told to contradict itself, and only where the books follow that report to the letter.
    """
    windows = [
        (fault["began"], fault["ended"] + CONTRADICTION_SECONDS)
        for fault in case.told.faults
        if fault["kind"] == "exchange" and "contradictRate" in fault["values"]
    ]
    found = set()
    for trade in case.trades:
        entry = next(iter(case.at_exchange.get(trade["id"], [])), None)
        if entry is None or trade["status"] not in FINAL:
            continue
        for report in case.reports.get(trade["id"], []):
            word = json.loads(report["body"])
            if word["quantity"] != trade["quantity"] or word["status"] not in FINAL:
                continue
            follows = word["status"] == trade["status"] and (
                word["status"] == "REJECTED"
                or (Decimal(word["price"]), Decimal(word["amount"])) == (trade["price"], trade["amount"])
            )
            is_false = word["executionId"] != entry["executionId"]
            told_to = any(began <= report["received_at"] <= ended for began, ended in windows)
            if is_false and follows and told_to and report["outcome"] == "settled":
                found.add(trade["id"])
            # A BUY's false fill may cost more than its hold: then it breaks the terms, and the next report counts.
            if report["outcome"] == "settled":
                break
    return found
