"""Make reports that a fault sends beside, or in place of, the true ones."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from exchange.simulator.formats import format_money, parse_money

LONG_TEXT_CHARACTERS = 20_000


def with_broken_terms(report: dict[str, Any]) -> dict[str, Any]:
    """The same report over twice the shares."""
    false = report | {"quantity": report["quantity"] * 2, "executionId": str(uuid4())}
    if report["amount"] is not None:
        false["amount"] = format_money(2 * parse_money(report["amount"]))
    return false


def contradicting(report: dict[str, Any], price: int) -> dict[str, Any]:
    """FILLED at that price where the true report says REJECTED, and the other way round."""
    false = report | {"executionId": str(uuid4())}
    if report["status"] == "FILLED":
        rejection = {"reason": "the exchange could not execute the trade", "reasonCode": "exchange_error"}
        return false | {"status": "REJECTED", "price": None, "amount": None} | rejection
    fill = {"price": format_money(price), "amount": format_money(price * report["quantity"])}
    return false | {"status": "FILLED", "reason": None, "reasonCode": None} | fill


def garbled(report: dict[str, Any], kind: str) -> dict[str, Any]:
    """The same report with a value that no reader expects; `kind` is one of `faults.GARBLES`."""
    return report | _GARBLED[kind]


_GARBLED: dict[str, dict[str, Any]] = {
    "surrogate": {"reason": "half a character: \ud800"},
    "nul": {"reason": "a NUL: \x00"},
    "longText": {"reason": "x" * LONG_TEXT_CHARACTERS},
    "badTime": {"executedAt": "2026-02-30T25:61:00Z"},
    "badPrice": {"price": "1e400", "amount": "NaN"},
}
