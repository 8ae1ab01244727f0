"""Computes the fees that trades should have cost, from the rates that were entered."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from chaos.checker.case import Case
from chaos.checker.evidence import Json

CENT = Decimal("0.01")
BOTH_SIDES = {"cat"}
"""The kinds of fees that purchases cost, too."""


def fee_of(case: Case, trade: Json, amount: Decimal) -> Decimal:
    """Return the fees of a trade that was filled for `amount`, USD: each rounded up to the cent.

    A sale's fees are at most its proceeds.
    """
    total = Decimal(0)
    for rate in _rates_of(case, trade).values():
        exact = amount * rate["per_usd"] + trade["quantity"] * rate["per_share"]
        capped = exact if rate["maximum"] is None else min(exact, rate["maximum"])
        total += capped.quantize(CENT, ROUND_CEILING)
    return min(total, amount) if trade["type"] == "SELL" else total


def _rates_of(case: Case, trade: Json) -> dict[str, Json]:
    """Return the rate of each kind that was in force on the trade date; of several, the one entered last."""
    day = trade.get("traded_on")
    return {
        rate["kind"]: rate
        for rate in case.evidence.fee_rates
        if day is not None
        and rate["first_day"] <= day <= (rate["last_day"] or day)
        and (trade["type"] == "SELL" or rate["kind"] in BOTH_SIDES)
    }
