"""Parsing the exchange's messages: valid ones are understood, all others are rejected."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.messages import Fill, Malformed, Report, canonical, parse_amount, storable

TRADE_ID = "0193a9a0-0000-7000-8000-000000000000"
FILLED: dict[str, Any] = {
    "tradeId": TRADE_ID,
    "status": "FILLED",
    "stockTicker": "AAPL",
    "type": "BUY",
    "quantity": 3,
    "price": "12.5000",
    "amount": "37.5000",
    "reason": None,
    "reasonCode": None,
    "executionId": "x-1",
    "executedAt": "2026-01-02T15:04:05.000000Z",
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(list(FILLED.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_a_fill_is_understood() -> None:
    at = datetime(2026, 1, 2, 15, 4, 5, tzinfo=UTC)
    fill = Fill(Decimal("12.5"), Decimal("37.5"), at)
    assert Report.parse(FILLED) == Report(UUID(TRADE_ID), "FILLED", "AAPL", "BUY", 3, fill, "", "")
    assert Report.parse(FILLED | {"executedAt": None}).fill == Fill(Decimal("12.5"), Decimal("37.5"))


@pytest.mark.parametrize("status", ["REJECTED", "ACCEPTED"])
def test_only_a_filled_report_has_a_fill(status: str) -> None:
    report = Report.parse(FILLED | {"status": status, "reason": "Closed.", "reasonCode": "past_market_hours"})
    assert (report.status, report.fill) == (status, None)
    assert (report.reason, report.reason_code) == ("Closed.", "past_market_hours")


def test_unknown_fields_are_ignored() -> None:
    assert Report.parse(FILLED | {"venue": {"name": ["x"]}}) == Report.parse(FILLED)


@pytest.mark.parametrize("name", ["tradeId", "status", "stockTicker", "type", "quantity", "price", "amount"])
def test_a_fill_without_one_of_its_parts_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        Report.parse({key: value for key, value in FILLED.items() if key != name})


INVALID_FIELDS: dict[str, list[Any]] = {
    "status": ["filled", "", None, 1, [], {}],
    "quantity": ["3", True, None, 3.0, [], 2**63, -(2**64), 10**4000],
    "tradeId": ["", "x", None, 5, [], "\x00"],
    "price": [12.5, 12, None, "", "x", "NaN", "-1", "0", "1e400", "1e15", "1.00001", []],
    "amount": ["Infinity"],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in INVALID_FIELDS.items() for value in values],
    ids=lambda value: repr(value)[:12],
)
def test_an_invalid_field_is_malformed(name: str, value: Any) -> None:
    with pytest.raises(Malformed) as caught:
        Report.parse(FILLED | {name: value})
    assert len(str(caught.value)) <= 500


@given(st.dictionaries(st.sampled_from(list(FILLED)), JSON_VALUES))
@settings(max_examples=150)
def test_any_object_is_a_report_or_malformed(change: dict[str, Any]) -> None:
    try:
        report = Report.parse(FILLED | change)
    except Malformed as malformed:
        assert str(malformed) == storable(malformed)
    else:
        assert all(text == storable(text) for text in (report.ticker, report.type, report.reason, report.reason_code))


@pytest.mark.parametrize("body", [[], None, "x", 5, [FILLED]])
def test_a_report_that_is_not_an_object_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        Report.parse(body)


def test_texts_are_shortened_to_fit_their_columns() -> None:
    report = Report.parse(FILLED | {"stockTicker": "A" * 1000, "type": "B" * 1000, "reason": "C" * 1000})
    assert (len(report.ticker), len(report.type), len(report.reason)) == (40, 40, 500)


@pytest.mark.parametrize(("text", "stored"), [("a\x00b", "a�b"), ("\ud800", "?"), (None, "None"), ("é", "é"), ("", "")])
def test_text_is_made_storable(text: Any, stored: str) -> None:
    assert storable(text) == stored


def test_an_amount_has_four_digits_however_it_was_written() -> None:
    assert str(parse_amount("1." + "0" * 600)) == "1.0000"


def test_a_report_has_one_canonical_form_in_ascii() -> None:
    text = canonical({"b": 1, "a": "é\x00\ud800", "c": None})
    assert text == canonical({"c": None, "a": "é\x00\ud800", "b": 1})
    assert text.isascii()
    assert "\x00" not in text
    assert json.loads(text) == {"a": "é\x00\ud800", "b": 1, "c": None}
