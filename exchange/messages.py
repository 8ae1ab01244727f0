"""What the brokerage and the central exchange say to each other, as values."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

LARGEST_AMOUNT = Decimal("1e14")  # a price or a total beyond this is not one
LARGEST_QUANTITY = 2**63 - 1
FIRST_YEAR, LAST_YEAR = 2008, 2034  # of an execution; the calendar knows when it settles


class Malformed(Exception):
    """What came is not what the protocol says; the text says where."""


class Unknown(Exception):
    """No answer that can be trusted: it may have happened, or not. The text says what was seen."""


@dataclass(frozen=True, slots=True)
class Order:
    """One trade as it is handed to the exchange. `max_price` (BUY): the most that all of it may cost, in USD."""

    trade_id: UUID
    ticker: str
    type: str
    quantity: int
    max_price: Decimal | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """The exchange's word, in its answer to Execute, that it has not stored an order and will never execute it."""

    trade_id: UUID
    code: str


@dataclass(frozen=True, slots=True)
class Fill:
    """At what an order was executed, USD a share and USD in all, and when; `at` is None where nobody has told."""

    price: Decimal
    amount: Decimal
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The exchange's word on one trade. `fill` where it is FILLED, and only there."""

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
        """The report in a decoded JSON object. Raises Malformed, whatever the object is."""
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
    told = body.get("executedAt")
    at = None if told is None else datetime.fromisoformat(told)
    if at is not None and (at.tzinfo is None or not FIRST_YEAR <= at.year <= LAST_YEAR):
        raise Malformed(storable(f"executedAt is {told!r}"))
    return Fill(parse_amount(body["price"]), parse_amount(body["amount"]), at)


def storable(text: Any, length_max: int = 500) -> str:
    """Somebody else's text as a database takes it: no NUL, nothing that is not UTF-8, so many characters at most."""
    return str(text)[:length_max].encode("utf-8", "replace").decode().replace("\x00", "�")


def parse_amount(value: Any) -> Decimal:
    """USD above zero with four digits, from a decimal string. Raises Malformed, InvalidOperation."""
    if not isinstance(value, str):
        raise Malformed(storable(f"an amount is {value!r}, not a decimal string"))
    amount = Decimal(value)
    if not (amount.is_finite() and 0 < amount < LARGEST_AMOUNT and amount == round(amount, 4)):
        raise Malformed(storable(f"an amount is {value!r}"))
    return round(amount, 4)


def canonical(body: dict[str, Any]) -> str:
    """One spelling for one report, in ASCII: what is kept, and what tells the same report from another one."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
