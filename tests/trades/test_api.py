"""The REST API of trading keeps its documented promises exactly."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import Customer
from exchange import market
from tests.conftest import StandInExchange
from tests.people import claim, receive_shares, send_report
from tests.responses import MOMENT, assert_problem, post
from trades.models import Status, Trade
from trades.place import place_trade

TRADES = "/api/v1/trades"
BUY = {"stockTicker": "AAPL", "type": "BUY", "quantity": 3}
TRADE_KEYS = {
    "tradeId",
    "stockTicker",
    "type",
    "quantity",
    "createdAt",
    "status",
    "reason",
    "reasonCode",
    "price",
    "amount",
    "settledAt",
    "whenClosed",
    "collarPrice",
    "placedAs",
    "fees",
    "netAmount",
    "settlesOn",
}
CLOSED_PORT = "http://127.0.0.1:1"


@pytest.fixture
def listed(exchange: StandInExchange, db: None) -> Iterator[None]:
    """Read the exchange's list of stocks."""
    market.refresh()
    market.forget()
    yield
    market.forget()


# -- PlaceTrade


def test_placing_returns_201_and_the_placed_trade(client: Client) -> None:
    response = post(client, TRADES, BUY)
    body = response.json()
    assert response.status_code == 201
    assert response["Content-Type"] == "application/json"
    assert response["Location"] == f"{TRADES}/{body['tradeId']}"
    assert set(body) == TRADE_KEYS
    assert body | BUY | {"status": "PLACED"} == body
    assert MOMENT.fullmatch(body["createdAt"])
    assert [body[name] for name in ("reason", "reasonCode", "price", "amount", "settledAt", "settlesOn")] == [None] * 6


def test_repeating_a_key_and_body_returns_200_and_the_current_state_of_the_first_trade(
    client: Client, alice: Customer
) -> None:
    first = post(client, TRADES, BUY, idempotency_key="k1")
    (trade,) = claim(alice)
    send_report(trade, Status.FILLED, Decimal("100"))
    claim(alice)
    repeated = post(client, TRADES, BUY, idempotency_key="k1")
    assert (first.status_code, repeated.status_code) == (201, 200)
    assert "Idempotent-Replayed" not in first
    assert repeated["Idempotent-Replayed"] == "true"
    assert repeated.json()["tradeId"] == first.json()["tradeId"]
    assert repeated.json()["status"] == "FILLED"


def test_tickers_are_case_insensitive(client: Client) -> None:
    first = post(client, TRADES, BUY, idempotency_key="k1")
    repeated = post(client, TRADES, BUY | {"stockTicker": "aapl"}, idempotency_key="k1")
    assert (repeated.status_code, repeated.json()) == (200, first.json())


@pytest.mark.parametrize("change", [{"quantity": 4}, {"type": "SELL"}, {"stockTicker": "MSFT"}])
def test_the_same_key_with_another_body_is_refused(client: Client, change: dict[str, Any]) -> None:
    post(client, TRADES, BUY, idempotency_key="k1")
    assert_problem(post(client, TRADES, BUY | change, idempotency_key="k1"), 409, "idempotency_key_reused")
    assert Trade.objects.filter(idempotency_key="k1").count() == 1


def test_keys_are_independent_between_customers(client: Client, bob: Customer, api_of: Any) -> None:
    first = post(client, TRADES, BUY, idempotency_key="k1").json()
    bobs = post(api_of(bob), TRADES, BUY, idempotency_key="k1")
    assert bobs.status_code == 201
    assert bobs.json()["tradeId"] != first["tradeId"]


def test_without_a_key_the_same_body_places_another_trade(client: Client) -> None:
    assert post(client, TRADES, BUY).json()["tradeId"] != post(client, TRADES, BUY).json()["tradeId"]


@pytest.mark.parametrize("key", ["x", "x" * 128, 'a key: with/odd "letters" ~'])
def test_a_key_of_1_to_128_printable_characters_is_accepted(client: Client, key: str) -> None:
    assert post(client, TRADES, BUY, idempotency_key=key).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 129, "x" * 9000, "a\x00b", "a\tb", "a\x7fb", "clé", "\udcff"])
def test_any_other_key_is_refused_and_places_nothing(client: Client, key: str) -> None:
    before = Trade.objects.count()
    assert_problem(post(client, TRADES, BUY, idempotency_key=key), 400, "invalid", "Idempotency-Key")
    assert Trade.objects.count() == before


def test_a_stock_that_is_not_listed_is_refused_by_name(listed: None, client: Client) -> None:
    body = assert_problem(post(client, TRADES, BUY | {"stockTicker": "NOSUCH"}), 422, "unknown_ticker", "stockTicker")
    assert body["errors"][0]["code"] == "unknown_ticker"
    assert not Trade.objects.filter(ticker="NOSUCH").exists()


def test_a_sell_is_placed_like_a_buy(client: Client) -> None:
    assert post(client, TRADES, BUY | {"type": "SELL"}).json()["type"] == "SELL"


WRONG_VALUES: dict[str, list[Any]] = {
    "quantity": ["3", 3.5, 3.0, True, None, 10**30, 10**4000, 1_000_001, 0, -1, [3], {"n": 3}, "", "3\x00"],
    "type": ["buy", "HOLD", "", None, True, 1, ["BUY"], {}, "BUY\x00", "\ud800", "B" * 100_000],
    "stockTicker": ["", " ", None, 1, True, ["AAPL"], {}, "A\x00", "\ud800", "A" * 13, "A" * 100_000],
}
WRONG_BODIES: list[tuple[Any, tuple[str, ...]]] = [
    *((BUY | {name: value}, (name,)) for name, values in WRONG_VALUES.items() for value in values),
    (BUY | {"price": "1"}, ("price",)),
    (BUY | {"customerId": 1}, ("customerId",)),
    (BUY | {"\ud800": 1}, ("?",)),
    ({}, ("stockTicker", "type", "quantity")),
    ({"stocktIcker": "AAPL"}, ("stocktIcker", "stockTicker", "type", "quantity")),
    ({"stockTicker": 1, "type": "X", "quantity": 0, "more": 1}, ("stockTicker", "type", "quantity", "more")),
]


@pytest.mark.parametrize(("body", "fields"), WRONG_BODIES, ids=lambda value: repr(value)[:50])
def test_a_wrong_field_is_named_and_nothing_is_placed(client: Client, body: Any, fields: tuple[str, ...]) -> None:
    before = Trade.objects.count()
    assert_problem(post(client, TRADES, body), 400, "invalid", *fields)
    assert Trade.objects.count() == before


@pytest.mark.parametrize("body", [[], [BUY], "BUY", 3, None, True, 1.5], ids=repr)
def test_a_body_that_is_not_an_object_is_refused(client: Client, body: Any) -> None:
    assert_problem(post(client, TRADES, body), 400, "invalid")


def test_thousands_of_unknown_fields_get_a_short_response(client: Client) -> None:
    response = post(client, TRADES, BUY | {f"field{n}": n for n in range(10_000)})
    assert_problem(response, 400, "invalid")
    assert len(response.content) < 10_000


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{'stockTicker': 'AAPL'}",
        b'{"quantity": NaN}',
        b'{"quantity": Infinity}',
        b'{"quantity": ' + b"9" * 5000 + b"}",
        b'\xff\xfe{"a": 1}',
        b"\xef\xbb\xbf{}",
        '{"type": "BUY"}'.encode("utf-16"),
        b"\x00",
        b"[" * 100_000,
        b'{"quantity":' * 50_000,
        b"<html></html>",
    ],
    ids=lambda raw: repr(raw)[:30],
)
def test_a_body_that_is_not_json_is_refused(client: Client, raw: bytes) -> None:
    assert_problem(client.post(TRADES, raw, content_type="application/json"), 400, "parse_error")


@pytest.mark.parametrize("depth", [10, 400, 900, 990])
def test_deeply_nested_json_is_refused_at_any_depth(client: Client, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for name in (b"quantity", b"type", b"stockTicker", b"other"):
        assert_problem(client.post(TRADES, b'{"%s": %s}' % (name, nested), content_type="application/json"), 400)


@pytest.mark.parametrize("charset", ["base64", "zlib", "bz2", "utf-16", "nonsense", "undefined", "idna", "rot13"])
def test_a_body_is_read_as_utf_8_whatever_its_charset_says(client: Client, charset: str) -> None:
    response = client.generic("POST", TRADES, json.dumps(BUY), content_type=f"application/json; charset={charset}")
    assert response.status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/html", "nonsense", ""])
def test_other_content_types_are_refused(client: Client, kind: str) -> None:
    response = client.generic("POST", TRADES, json.dumps(BUY), content_type=kind)
    assert_problem(response, 415, "unsupported_media_type")


def test_a_form_is_refused(client: Client) -> None:
    assert_problem(client.post(TRADES, BUY), 415, "unsupported_media_type")


def test_an_empty_body_lacks_all_fields(client: Client) -> None:
    response = client.generic("POST", TRADES, b"", content_type="application/json")
    assert_problem(response, 400, "invalid", "stockTicker", "type", "quantity")


def test_a_body_that_is_too_large_is_refused_unread(client: Client) -> None:
    raw = json.dumps(BUY | {"stockTicker": "A" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE})
    assert_problem(client.post(TRADES, raw, content_type="application/json"), 413, "too_large")


# -- GetTrade


def test_a_filled_trade_shows_its_price_amount_and_time(client: Client, alice: Customer) -> None:
    trade = receive_shares(alice, "AAPL", 4, Decimal("12.5000"))
    body = client.get(f"{TRADES}/{trade.id}").json()
    assert set(body) == TRADE_KEYS
    assert (body["status"], body["price"], body["amount"]) == ("FILLED", "12.5000", "50.0000")
    assert MOMENT.fullmatch(body["settledAt"])
    assert (body["reason"], body["reasonCode"]) == (None, None)


def test_a_rejected_trade_has_a_reason(client: Client, alice: Customer) -> None:
    place_trade(alice.id, "AAPL", "SELL", 99)
    claim(alice)
    trade = Trade.objects.get(customer=alice, quantity=99)
    body = client.get(f"{TRADES}/{trade.id}").json()
    assert (body["status"], body["reasonCode"]) == ("REJECTED", "insufficient_shares")
    assert body["reason"] == "Not enough shares were available to sell this many."
    assert (body["price"], body["amount"]) == (None, None)
    assert MOMENT.fullmatch(body["settledAt"])


def test_a_trade_in_progress_has_a_space_in_its_status(client: Client, alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    claim(alice)
    assert client.get(f"{TRADES}/{trade.id}").json()["status"] == "IN PROGRESS"


def test_another_customers_trade_is_404(client: Client, bob: Customer) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    for_bobs_trade = assert_problem(client.get(f"{TRADES}/{trade.id}"), 404, "not_found")
    for_unknown_trade = assert_problem(client.get(f"{TRADES}/{uuid4()}"), 404, "not_found")
    assert for_bobs_trade == for_unknown_trade


@pytest.mark.parametrize("id", ["1", "null", "%00", "x" * 5000, "%ff", "..", "%F0%9F%92%A9", "a%0d%0ab", "a%2Fb"])
def test_an_invalid_trade_id_is_404(client: Client, id: str) -> None:
    assert_problem(client.get(f"{TRADES}/{id}"), 404, "not_found")


# -- every endpoint


READS = [
    TRADES,
    f"{TRADES}/0193a9a0-0000-7000-8000-000000000000",
    "/api/v1/positions",
    "/api/v1/positions/A",
    "/api/v1/quotes/A",
    "/api/v1/market",
]


@pytest.mark.parametrize("path", READS)
def test_reading_requires_a_token(path: str, db: None) -> None:
    response = Client().get(path)
    assert_problem(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"])
def test_an_unsupported_method_is_405(client: Client, method: str, path: str) -> None:
    response = client.generic(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_scopes_limit_a_token(alice: Customer, api_of: Any) -> None:
    reader, trader = api_of(alice, ["read"]), api_of(alice, ["trade"])
    assert reader.get(TRADES).status_code == 200
    assert_problem(post(reader, TRADES, BUY), 403, "permission_denied")
    assert post(trader, TRADES, BUY).status_code == 201
    assert_problem(trader.get(TRADES), 403, "permission_denied")


def test_a_refused_scope_places_nothing(alice: Customer, api_of: Any) -> None:
    before = Trade.objects.count()
    post(api_of(alice, ["read", "funds"]), TRADES, BUY)
    assert Trade.objects.count() == before
