"""Amounts in USD: rounding, and the largest amount."""

from decimal import ROUND_HALF_EVEN, Decimal

CENT_OF_A_CENT = Decimal("0.0001")
LARGEST_AMOUNT = Decimal("999999999999999.9999")  # the largest NUMERIC(19,4)


def money(value: Decimal) -> Decimal:
    """Round USD to four decimals, half to even."""
    return value.quantize(CENT_OF_A_CENT, rounding=ROUND_HALF_EVEN)
