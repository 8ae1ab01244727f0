"""Request fields in the client's format: symbols, numbers, ids."""

import re
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from trades.place import QUANTITY_MAX
from web.serializers import TextField

TICKERS_MAX = 500
SUPPORTED = "only market orders for whole shares with time_in_force day or gtc are supported"
NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?(E[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)


class SymbolField(TextField):
    """A ticker; lower case is accepted."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=12, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).upper()


class SymbolsField(TextField):
    """Tickers, separated by commas."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, **kwargs)  # the client sends an empty list as an empty string

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        tickers = [ticker for ticker in super().to_internal_value(data).upper().split(",") if ticker]
        if "\x00" in data:
            raise serializers.ValidationError("Symbols can't contain null characters.")
        if len(tickers) > TICKERS_MAX:
            raise serializers.ValidationError(f"At most {TICKERS_MAX} symbols.")
        return [ticker[:12] for ticker in tickers]


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string", "maxLength": 40}]})
class NumberField(serializers.Field[Any, Any, Any, Any]):
    """A number, as a JSON number or a string."""

    default_error_messages: ClassVar = {"invalid": "must be a number"}

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | Decimal | str) or not NUMBER.fullmatch(str(data)):
            self.fail("invalid")
        return Decimal(data)


def includes_stocks(asset_class: str) -> bool:
    """Return whether a comma-separated filter of asset classes includes stocks. An empty filter does."""
    classes = [name.strip().lower() for name in asset_class.split(",") if name.strip()]
    return not classes or "us_equity" in classes


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID that a string represents; None if it isn't one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def whole_shares(number: Decimal, name: str) -> int:
    """Convert a quantity to a whole number of shares.

    Args:
        name: The parameter that the error names.

    Raises:
        ValidationError: The quantity is not whole, or out of range.
    """
    if not 0 < number <= QUANTITY_MAX or number != number.to_integral_value():
        raise serializers.ValidationError({name: f"must be whole shares, 1 to {QUANTITY_MAX}; {SUPPORTED}"})
    return int(number)
