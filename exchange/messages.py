"""The messages between the brokerage and the central exchange, as values."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

LARGEST_AMOUNT = Decimal("1e14")  # USD; a larger price or total is not plausible
LARGEST_QUANTITY = 2**63 - 1
FIRST_YEAR, LAST_YEAR = 2008, 2034  # of an execution: the years for which the calendar knows settlement dates


class Malformed(Exception):
    """A message does not follow the protocol. The text says where."""


class Unknown(Exception):
    """There was no trustworthy answer: the request may or may not have been executed. The text says what happened."""


@dataclass(frozen=True, slots=True)
class Order:
    """A trade as it is sent to the exchange. `max_price` is the highest total cost of a BUY, in USD."""

    trade_id: UUID
    ticker: str
    type: str
    quantity: int
    max_price: Decimal | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """The exchange's statement in its answer to Execute that it has not stored an order and will never execute it."""

    trade_id: UUID
    code: str


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution: the price in USD per share, the total in USD, and the time; None if the exchange did not say."""

    price: Decimal
    amount: Decimal
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The exchange's report on one trade. It has a `fill` if, and only if, the trade is FILLED."""

    trade_id: UUID
    status: str  # ACCEPTED (it works on it), FILLED or REJECTED (final)
    ticker: str
    type: str
    quantity: int
    fill: Fill | None
    reason: str
    reason_code: str

    @classmethod
    def parse(cls, body: dict[str, Any]) -> "Report":
        """Parse a decoded JSON object.

        Raises:
            Malformed: It is not a report, whatever it is.
        """
        try:
            status = body["status"]
            if status not in {"ACCEPTED", "FILLED", "REJECTED"}:
                raise Malformed(storable(f"status is {status!r}"))
            quantity = body["quantity"]
            if type(quantity) is not int or abs(quantity) > LARGEST_QUANTITY:
                raise Malformed(storable(f"quantity is {quantity!r}"))
            return cls(
                trade_id=UUID(body["tradeId"]),
                status=status,
                ticker=storable(body["stockTicker"], 40),
                type=storable(body["type"], 40),
                quantity=quantity,
                fill=_parse_fill(body) if status == "FILLED" else None,
                reason=storable(body.get("reason") or ""),
                reason_code=storable(body.get("reasonCode") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
            raise Malformed(storable(f"{type(error).__name__}: {error}")) from None


def _parse_fill(body: dict[str, Any]) -> Fill:
    text = body.get("executedAt")
    at = None if text is None else datetime.fromisoformat(text)
    if at is not None and (at.tzinfo is None or not FIRST_YEAR <= at.year <= LAST_YEAR):
        raise Malformed(storable(f"executedAt is {text!r}"))
    return Fill(parse_amount(body["price"]), parse_amount(body["amount"]), at)


def storable(text: Any, length_max: int = 500) -> str:
    """Make external text safe to store: no NUL characters, valid UTF-8, at most `length_max` characters."""
    return str(text)[:length_max].encode("utf-8", "replace").decode().replace("\x00", "�")


def parse_amount(value: Any) -> Decimal:
    """Parse a decimal string as a positive amount in USD with up to four decimals.

    Raises:
        Malformed, InvalidOperation: It is not such an amount.
    """
    if not isinstance(value, str):
        raise Malformed(storable(f"an amount is {value!r}, not a decimal string"))
    amount = Decimal(value)
    if not (amount.is_finite() and 0 < amount < LARGEST_AMOUNT and amount == round(amount, 4)):
        raise Malformed(storable(f"an amount is {value!r}"))
    return round(amount, 4)


def canonical(body: dict[str, Any]) -> str:
    """Return the canonical JSON text of a report, in ASCII. It is stored, and used to recognize identical reports."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
