"""JSON and signatures on the wire: the building blocks of the callback, which has its own tests."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.messages import Malformed, Order
from exchange.wire import NESTING_MAX, Unsigned, decode, encode_orders, verify_callback

ORDER = Order(
    UUID("0193a9a0-0000-7000-8000-000000000000"),
    "AAPL",
    "BUY",
    3,
    Decimal("1000"),
    datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
)


def test_an_order_is_encoded_as_the_protocol_requires() -> None:
    assert json.loads(encode_orders([ORDER], "http://broker/callbacks")) == {
        "callbackUrl": "http://broker/callbacks",
        "trades": [
            {
                "tradeId": "0193a9a0-0000-7000-8000-000000000000",
                "stockTicker": "AAPL",
                "type": "BUY",
                "quantity": 3,
                "maxPrice": "1000.0000",
                "expiresAt": "2026-01-02T03:04:05.000678Z",
            }
        ],
    }


def test_a_sell_has_no_maximum_price() -> None:
    order = Order(ORDER.trade_id, "AAPL", "SELL", 3, None, ORDER.expires_at)
    assert json.loads(encode_orders([order], ""))["trades"][0]["maxPrice"] is None


def test_the_same_orders_are_the_same_bytes() -> None:
    assert encode_orders([ORDER], "u") == encode_orders([ORDER], "u")


def test_a_decimal_number_keeps_its_spelling() -> None:
    assert decode(b'{"price": 0.10, "n": 1, "big": 1e400}') == {"price": "0.10", "n": 1, "big": "1e400"}


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"NaN", b"-Infinity", b'{"a": NaN}', b"\xff", b"<html>", b"[" * 100_000, b"9" * 5000, b"{'a': 1}"],
    ids=lambda raw: repr(raw)[:15],
)
def test_invalid_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode(raw)


def test_too_deeply_nested_json_is_malformed() -> None:
    decode(b"[" * NESTING_MAX + b"]" * NESTING_MAX)
    for depth in (NESTING_MAX + 1, 500, 900):
        with pytest.raises(Malformed):
            decode(b"[" * depth + b"]" * depth)


@given(st.binary(max_size=50))
@settings(max_examples=200)
def test_any_bytes_are_json_or_malformed(raw: bytes) -> None:
    try:
        decode(raw)
    except Malformed:
        pass


@given(
    st.binary(max_size=30),
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text(max_size=30) | st.sampled_from(["v1", "v1,a,b", "v1,YQ==", "1767000000"]),
    ),
)
@settings(max_examples=200)
def test_random_signatures_are_refused_as_unsigned(raw: bytes, headers: dict[str, Any]) -> None:
    with pytest.raises(Unsigned):
        verify_callback(raw, headers)


def test_without_a_secret_nothing_is_verified(settings: Any) -> None:
    settings.EXCHANGE_SECRET = ""
    with pytest.raises(Unsigned):
        verify_callback(b"{}", {})
