"""Amounts of USD: how they are rounded, and the largest there is."""

from decimal import ROUND_HALF_EVEN, Decimal

CENT_OF_A_CENT = Decimal("0.0001")
LARGEST_AMOUNT = Decimal("999999999999999.9999")  # what NUMERIC(19,4) takes


def money(value: Decimal) -> Decimal:
    """Round USD to four decimals, half to even: the only rounding in this code."""
    return value.quantize(CENT_OF_A_CENT, rounding=ROUND_HALF_EVEN)
