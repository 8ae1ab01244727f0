"""Parse, validate and format the corporate actions that the exchange announces."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import uuid4

from exchange.simulator.errors import Invalid, error
from exchange.simulator.execute_request import ID, TICKER
from exchange.simulator.formats import format_money, format_time, parse_date, parse_money

KINDS = ("CASH_DIVIDEND", "SPLIT", "TICKER_CHANGE", "DELISTING")
SHARES_MAX = 100_000

# The fields that are required for a kind, and allowed for no other.
_FIELDS_OF = {
    "CASH_DIVIDEND": {"amountPerShare"},
    "SPLIT": {"numerator", "denominator"},
    "TICKER_CHANGE": {"newTicker"},
    "DELISTING": set(),
}


class CorporateAction(NamedTuple):
    """An announced corporate action. It takes effect when the market opens on its ex-date."""

    sequence: int
    action_id: str
    kind: str
    ticker: str
    ex_date: date
    record_date: date | None
    pay_date: date | None
    # Money in units of 1/10,000 USD.
    amount_per_share: int | None
    # A split turns `denominator` shares into `numerator`.
    numerator: int | None
    denominator: int | None
    new_ticker: str | None
    reference_price: int | None
    announced_at: int

    def as_json(self) -> dict[str, Any]:
        """Return the announcement in the format of the protocol."""
        return {
            "actionId": self.action_id,
            "sequence": self.sequence,
            "kind": self.kind,
            "stockTicker": self.ticker,
            "exDate": self.ex_date.isoformat(),
            "recordDate": None if self.record_date is None else self.record_date.isoformat(),
            "payDate": None if self.pay_date is None else self.pay_date.isoformat(),
            "amountPerShare": None if self.amount_per_share is None else format_money(self.amount_per_share),
            "numerator": self.numerator,
            "denominator": self.denominator,
            "newTicker": self.new_ticker,
            "referencePrice": None if self.reference_price is None else format_money(self.reference_price),
            "announcedAt": format_time(self.announced_at),
        }

    def has_same_content(self, other: CorporateAction) -> bool:
        """Return whether both are the same, except for sequence number, time of announcement and reference price."""
        ignored: dict[str, Any] = {"sequence": 0, "announced_at": 0, "reference_price": None}
        return self._replace(**ignored) == other._replace(**ignored)


def read_action(body: Any, announced_at: int) -> CorporateAction:
    """Parse and validate the body of an announcement. `sequence` is 0 until it is stored.

    Raises:
        Invalid: It names every field that is wrong.
    """
    if not isinstance(body, dict):
        raise Invalid([error("", "must be a JSON object")])
    kind = body.get("kind")
    if kind not in KINDS:
        raise Invalid([error("kind", f"must be one of {', '.join(KINDS)}")])
    reader = _Reader(body, kind)
    action = CorporateAction(
        sequence=0,
        action_id=reader.read("actionId", _parse_id) or str(uuid4()),
        kind=kind,
        ticker=reader.read("stockTicker", _parse_ticker, required=True) or "",
        ex_date=reader.read("exDate", parse_date, required=True) or date.min,
        record_date=reader.read("recordDate", parse_date),
        pay_date=reader.read("payDate", parse_date, required=kind == "CASH_DIVIDEND"),
        amount_per_share=reader.read("amountPerShare", _parse_amount),
        numerator=reader.read("numerator", _parse_shares),
        denominator=reader.read("denominator", _parse_shares),
        new_ticker=reader.read("newTicker", _parse_ticker),
        reference_price=reader.read("referencePrice", _parse_amount),
        announced_at=announced_at,
    )
    if kind == "CASH_DIVIDEND" and action.record_date is None:
        # Trades settle the next day, so a buyer on the ex-date is not yet a holder of record that day.
        action = action._replace(record_date=action.ex_date)
    if not reader.errors:
        reader.errors += _contradictions(action)
    if reader.errors:
        raise Invalid(reader.errors)
    return action


class _Reader:
    """Parses the fields of a body and collects their errors."""

    def __init__(self, body: dict[str, Any], kind: str) -> None:
        self.errors: list[dict[str, str]] = []
        self._body = body
        self._kind = kind
        self._forbidden = set().union(*_FIELDS_OF.values()) - _FIELDS_OF[kind]

    def read(self, name: str, parse: Any, *, required: bool = False) -> Any:
        value = self._body.get(name)
        if value is None:
            if required or name in _FIELDS_OF[self._kind]:
                self.errors.append(error(name, f"is required for a {self._kind}"))
            return None
        if name in self._forbidden:
            self.errors.append(error(name, f"must be left out for a {self._kind}"))
            return None
        try:
            return parse(value)
        except ValueError as problem:
            self.errors.append(error(name, str(problem)))
            return None


def _contradictions(action: CorporateAction) -> list[dict[str, str]]:
    errors = []
    dates = [("exDate", action.ex_date), ("recordDate", action.record_date), ("payDate", action.pay_date)]
    known = [(name, day) for name, day in dates if day is not None]
    for (earlier, before), (later, after) in pairwise(known):
        if after < before:
            errors.append(error(later, f"must not be before {earlier}"))
    if action.kind == "SPLIT" and action.numerator == action.denominator:
        errors.append(error("numerator", "must differ from denominator"))
    if action.new_ticker == action.ticker:
        errors.append(error("newTicker", "must differ from stockTicker"))
    return errors


def _parse_id(value: object) -> str:
    if isinstance(value, str) and ID.fullmatch(value):
        return value
    raise ValueError("must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -")


def _parse_ticker(value: object) -> str:
    if isinstance(value, str) and TICKER.fullmatch(value):
        return value
    raise ValueError("must be 1 to 16 of the characters A-Z a-z 0-9 . -")


def _parse_amount(value: object) -> int:
    units = parse_money(value)
    if units == 0:
        raise ValueError("must be more than zero")
    return units


def _parse_shares(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= SHARES_MAX:
        return value
    raise ValueError(f"must be a whole number from 1 to {SHARES_MAX}")
