"""The false reports that faults send in addition to the true ones, or instead of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from exchange.simulator.formats import format_money, parse_money

LONG_TEXT_CHARACTERS = 20_000


def with_broken_terms(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report with twice the quantity."""
    false_report = report | {"quantity": report["quantity"] * 2, "executionId": str(uuid4())}
    if report["amount"] is not None:
        false_report["amount"] = format_money(2 * parse_money(report["amount"]))
    return false_report


def contradicting(report: dict[str, Any], price: int) -> dict[str, Any]:
    """Return a report with the opposite outcome: REJECTED for a fill, FILLED at this price for a rejection."""
    false_report = report | {"executionId": str(uuid4())}
    if report["status"] == "FILLED":
        rejection = {"reason": "the exchange could not execute the trade", "reasonCode": "exchange_error"}
        return false_report | {"status": "REJECTED", "price": None, "amount": None} | rejection
    fill = {"price": format_money(price), "amount": format_money(price * report["quantity"])}
    return false_report | {"status": "FILLED", "reason": None, "reasonCode": None} | fill


def garbled(report: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the report with a malformed value. `kind` is one of `faults.GARBLES`."""
    return report | _GARBLED[kind]


_GARBLED: dict[str, dict[str, Any]] = {
    "surrogate": {"reason": "half a character: \ud800"},
    "nul": {"reason": "a NUL: \x00"},
    "longText": {"reason": "x" * LONG_TEXT_CHARACTERS},
    "badTime": {"executedAt": "2026-02-30T25:61:00Z"},
    "badPrice": {"price": "1e400", "amount": "NaN"},
}
