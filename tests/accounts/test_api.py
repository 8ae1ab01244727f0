"""The REST API of accounts keeps its documented promises exactly."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import Balance, Customer, Posting, Token
from tests.people import claim, open_account
from tests.responses import MOMENT, assert_problem, post
from trades.place import place_trade

BALANCE, POSTINGS = "/api/v1/balance", "/api/v1/postings"
DEPOSITS, WITHDRAWALS, TOKENS = "/api/v1/deposits", "/api/v1/withdrawals", "/api/v1/tokens"
POSTING_KEYS = {
    "postingId",
    "kind",
    "causeId",
    "stockTicker",
    "amount",
    "balance",
    "quantity",
    "position",
    "price",
    "settlesOn",
    "createdAt",
}
UNKNOWN_ID = "0193a9a0-0000-7000-8000-000000000000"
PASSWORD = "correct horse battery"
NOON = datetime(2031, 3, 3, 12, tzinfo=UTC)


@pytest.fixture
def client(alice: Customer, api_of: Any) -> Client:
    """Return an API client for Alice."""
    return api_of(alice)


@pytest.fixture
def _no_earlier_sign_ins() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def carol(_no_earlier_sign_ins: None, db: None, settings: Any) -> Customer:
    """Return a customer whose password is hashed quickly."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return open_account("carol@example.com", Decimal(100), password=PASSWORD)


def sign_in(**changes: Any) -> Any:
    return post(Client(), TOKENS, {"email": "carol@example.com", "password": PASSWORD, "name": "laptop"} | changes)


def bearer(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


# -- balance and ledger


def test_a_balance_shows_amount_held_and_available(client: Client, alice: Customer) -> None:
    place_trade(alice.id, "AAPL", "BUY", 1)
    claim(alice)
    body = client.get(BALANCE).json()
    assert set(body) == {
        *("amount", "held", "available", "unsettled", "settled", "withdrawable"),
        *("goodFaithViolations", "settledCashOnlyUntil", "lastModified"),
    }
    assert (body["amount"], body["held"], body["available"]) == ("1000.0000", "1000.0000", "0.0000")
    assert MOMENT.fullmatch(body["lastModified"])


def test_cash_postings_and_share_postings_have_different_fields(client: Client) -> None:
    shares, cash, deposit = client.get(POSTINGS).json()["results"]
    assert set(shares) == set(cash) == set(deposit) == POSTING_KEYS
    assert cash | {"kind": "buy", "stockTicker": None, "amount": "-1000.0000", "balance": "1000.0000"} == cash
    assert (cash["quantity"], cash["position"], cash["price"]) == (None, None, "100.0000")
    assert shares | {"kind": "buy", "stockTicker": "AAPL", "quantity": 10, "position": 10} == shares
    assert (shares["amount"], shares["balance"], shares["price"]) == (None, None, "100.0000")
    assert shares["causeId"] == cash["causeId"]
    assert (deposit["kind"], deposit["price"]) == ("deposit", None)
    assert MOMENT.fullmatch(deposit["createdAt"])


def test_paging_shows_every_posting_once_while_new_ones_arrive(client: Client, alice: Customer) -> None:
    expected = [str(id) for id in Posting.objects.filter(customer=alice).order_by("-id").values_list("id", flat=True)]
    listed: list[str] = []
    cursor: str | None = None
    while True:
        page = client.get(POSTINGS, {"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        listed += [posting["postingId"] for posting in page["results"]]
        post(client, DEPOSITS, {"amount": "1"})
        if (cursor := page["next"]) is None:
            break
    assert listed == expected


def test_a_customer_sees_only_their_own_ledger(client: Client, bob: Customer, api_of: Any) -> None:
    (posting,) = api_of(bob).get(POSTINGS).json()["results"]
    assert posting["amount"] == "500.0000"


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=garbage", "more=1"])
def test_an_invalid_ledger_query_names_the_parameter(client: Client, query: str) -> None:
    assert_problem(client.get(f"{POSTINGS}?{query}"), 400, "invalid", query.partition("=")[0])


# -- cash in and out


@pytest.mark.parametrize(("path", "kind", "sign"), [(DEPOSITS, "deposit", ""), (WITHDRAWALS, "withdrawal", "-")])
def test_a_transfer_returns_201_and_its_posting(client: Client, path: str, kind: str, sign: str) -> None:
    response = post(client, path, {"amount": "12.34"})
    assert response.status_code == 201
    assert set(response.json()) == POSTING_KEYS
    assert (response.json()["kind"], response.json()["amount"]) == (kind, f"{sign}12.3400")
    assert response.json()["balance"] == client.get(BALANCE).json()["amount"]


@pytest.mark.parametrize("path", [DEPOSITS, WITHDRAWALS])
def test_the_same_key_and_amount_moves_cash_once(client: Client, path: str) -> None:
    first = post(client, path, {"amount": "10"}, idempotency_key="k")
    balance = client.get(BALANCE).json()["amount"]
    repeated = post(client, path, {"amount": "10.0000"}, idempotency_key="k")
    assert (repeated.status_code, repeated["Idempotent-Replayed"]) == (200, "true")
    assert repeated.json() == first.json()
    assert client.get(BALANCE).json()["amount"] == balance


def test_the_same_key_for_another_amount_or_the_other_way_is_refused(client: Client) -> None:
    post(client, DEPOSITS, {"amount": "10"}, idempotency_key="k")
    assert_problem(post(client, DEPOSITS, {"amount": "11"}, idempotency_key="k"), 409, "idempotency_key_reused")
    assert_problem(post(client, WITHDRAWALS, {"amount": "10"}, idempotency_key="k"), 409, "idempotency_key_reused")
    assert client.get(BALANCE).json()["amount"] == "1010.0000"


def test_a_transfer_and_a_trade_may_share_a_key(client: Client) -> None:
    post(client, DEPOSITS, {"amount": "10"}, idempotency_key="k")
    trade = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    assert post(client, "/api/v1/trades", trade, idempotency_key="k").status_code == 201


@pytest.mark.parametrize("path", [DEPOSITS, WITHDRAWALS])
@pytest.mark.parametrize("key", ["", "x" * 129, "a\nb"])
def test_an_invalid_key_is_refused(client: Client, path: str, key: str) -> None:
    assert_problem(post(client, path, {"amount": "10"}, idempotency_key=key), 400, "invalid", "Idempotency-Key")


def test_more_than_is_available_cannot_be_withdrawn(client: Client) -> None:
    body = assert_problem(post(client, WITHDRAWALS, {"amount": "1000.0001"}), 409, "insufficient_funds", "amount")
    assert body["title"] == "Conflict"
    assert client.get(BALANCE).json()["amount"] == "1000.0000"
    assert post(client, WITHDRAWALS, {"amount": "1000.0000"}).status_code == 201


def test_cash_held_by_a_trade_in_flight_cannot_be_withdrawn(client: Client, alice: Customer) -> None:
    place_trade(alice.id, "AAPL", "BUY", 1)
    claim(alice)
    assert_problem(post(client, WITHDRAWALS, {"amount": "0.0001"}), 409, "insufficient_funds")
    assert post(client, DEPOSITS, {"amount": "5"}).status_code == 201
    assert post(client, WITHDRAWALS, {"amount": "5"}).status_code == 201


def test_a_refused_withdrawal_does_not_use_up_its_key(client: Client) -> None:
    post(client, WITHDRAWALS, {"amount": "1500"}, idempotency_key="k")
    post(client, DEPOSITS, {"amount": "1000"})
    assert post(client, WITHDRAWALS, {"amount": "1500"}, idempotency_key="k").status_code == 201


def test_a_deposit_above_the_largest_balance_is_refused(client: Client, alice: Customer) -> None:
    Balance.objects.filter(customer=alice).update(amount=Decimal("999999999999999.0000"))
    assert post(client, DEPOSITS, {"amount": "0.9999"}).status_code == 201
    assert_problem(post(client, DEPOSITS, {"amount": "0.0001"}), 422, "balance_too_large", "amount")


AMOUNTS = ["0", "0.0000", "-1", "1.00001", "1e2", "1_000", "1,000", " 1", "NaN", "Infinity", "sNaN", "", ".", "-", "١٢"]


@pytest.mark.parametrize(
    "amount",
    [*AMOUNTS, "abc", "9" * 12, "9" * 5000, "0x10", "1\x00", "\ud800", 100, 100.5, True, None, [], ["1"], {}],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize("path", [DEPOSITS, WITHDRAWALS])
def test_an_invalid_amount_moves_nothing(client: Client, path: str, amount: Any) -> None:
    assert_problem(post(client, path, {"amount": amount}), 400, "invalid", "amount")
    assert client.get(BALANCE).json()["amount"] == "1000.0000"


@pytest.mark.parametrize("amount", ["0.0001", "1", "1.5", "001.50", "99999999999.9999"])
def test_amounts_with_up_to_four_digits_are_accepted(client: Client, amount: str) -> None:
    assert post(client, DEPOSITS, {"amount": amount}).status_code == 201


@pytest.mark.parametrize("path", [DEPOSITS, WITHDRAWALS])
def test_unknown_and_missing_fields_are_named(client: Client, path: str) -> None:
    assert_problem(post(client, path, {"currency": "USD"}), 400, "invalid", "amount", "currency")


# -- tokens


def test_a_token_is_shown_once(carol: Customer) -> None:
    response = sign_in()
    body = response.json()
    assert response.status_code == 201
    fields = {"tokenId", "name", "token", "keyId", "secretKey", "scopes", "createdAt", "expiresAt", "allowedAddresses"}
    assert set(body) == fields
    assert (body["name"], body["scopes"], body["expiresAt"]) == ("laptop", ["read", "trade", "funds", "webhooks"], None)
    assert MOMENT.fullmatch(body["createdAt"])
    (listed,) = bearer(body["token"]).get(TOKENS).json()["results"]
    assert set(listed) == fields - {"token", "secretKey"} | {"lastUsedAt", "lastUsedAddress"}
    assert listed["tokenId"] == body["tokenId"]


def test_all_three_secrets_name_the_same_grant(carol: Customer) -> None:
    body = sign_in().json()
    by_token, by_pair = tokens.find(body["token"]), tokens.find_pair(body["keyId"], body["secretKey"])
    assert by_token is not None
    assert by_token == by_pair
    assert str(by_token.id) == body["tokenId"]


def test_secrets_are_not_stored(carol: Customer) -> None:
    body = sign_in().json()
    stored = str(Token.objects.filter(id=body["tokenId"]).values().get())
    assert body["token"] not in stored
    assert body["secretKey"] not in stored


def test_an_email_address_is_case_insensitive(carol: Customer) -> None:
    assert sign_in(email=" Carol@Example.COM ").status_code == 201


@pytest.mark.parametrize(
    "changes",
    [{"password": "wrong"}, {"email": "nobody@example.com"}, {"password": f"{PASSWORD} "}, {"password": " "}],
)
def test_a_wrong_password_is_401_and_reveals_no_accounts(carol: Customer, changes: dict[str, str]) -> None:
    response = sign_in(**changes)
    body = assert_problem(response, 401, "wrong_credentials")
    assert body["detail"] == "The email address and password do not match."
    assert "WWW-Authenticate" in response


def test_an_account_without_a_password_cannot_sign_in_with_one(alice: Customer, _no_earlier_sign_ins: None) -> None:
    assert_problem(sign_in(email=alice.email, password=""), 400, "invalid", "password")
    assert_problem(sign_in(email=alice.email, password="None"), 401, "wrong_credentials")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"email": 1, "password": None, "name": []}, ("email", "password", "name")),
        ({"email": "\x00"}, ("email",)),
        ({"email": "\ud800"}, ("email",)),
        ({"email": "a" * 255}, ("email",)),
        ({"email": {"a": [1]}}, ("email",)),
        ({"password": "\x00"}, ("password",)),
        ({"password": "x" * 1025}, ("password",)),
        ({"name": ""}, ("name",)),
        ({"name": "x" * 81}, ("name",)),
        ({"scopes": ["write"]}, ("scopes.0",)),
    ],
)
def test_wrong_fields_of_a_sign_in_are_named(carol: Customer, changes: dict, fields: tuple[str, ...]) -> None:
    assert_problem(sign_in(**changes), 400, "invalid", *fields)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"1"], ids=lambda raw: repr(raw)[:9]
)
def test_a_sign_in_body_that_is_not_an_object_is_refused(carol: Customer, raw: bytes) -> None:
    assert_problem(Client().post(TOKENS, raw, content_type="application/json"), 400)


def test_guesses_at_one_password_are_throttled_and_others_are_not(carol: Customer, alice: Customer) -> None:
    with time_machine.travel(NOON, tick=False):  # within one window of the limit
        for _ in range(10):
            assert sign_in(password="guess").status_code == 401
        response = sign_in(email="CAROL@example.com")
        assert_problem(response, 429, "throttled")
        assert 0 < int(response["Retry-After"]) <= 60
        assert sign_in(email=alice.email).status_code == 401


def test_sign_in_works_without_the_rate_limit_store(carol: Customer, settings: Any) -> None:
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}}
    assert sign_in().status_code == 201


def test_a_deleted_token_ends_immediately(carol: Customer) -> None:
    own, deleted = sign_in().json(), sign_in(name="phone").json()
    client = bearer(own["token"])
    assert client.delete(f"{TOKENS}/{deleted['tokenId']}").status_code == 204
    assert_problem(bearer(deleted["token"]).get(BALANCE), 401, "authentication_failed")
    assert tokens.find_pair(deleted["keyId"], deleted["secretKey"]) is None
    assert_problem(client.delete(f"{TOKENS}/{deleted['tokenId']}"), 404, "not_found")
    assert client.delete(f"{TOKENS}/{own['tokenId']}").status_code == 204
    assert_problem(client.get(BALANCE), 401, "authentication_failed")


def test_a_customer_cannot_see_or_delete_anothers_token(client: Client, carol: Customer) -> None:
    carols_token = sign_in().json()
    assert_problem(client.delete(f"{TOKENS}/{carols_token['tokenId']}"), 404, "not_found")
    assert bearer(carols_token["token"]).get(BALANCE).status_code == 200
    assert carols_token["tokenId"] not in {token["tokenId"] for token in client.get(TOKENS).json()["results"]}


def test_tokens_are_listed_newest_first(carol: Customer) -> None:
    created = [sign_in(name=name).json() for name in ("first", "second", "third")]
    listed = bearer(created[0]["token"]).get(TOKENS).json()["results"]
    assert [token["name"] for token in listed] == ["third", "second", "first"]
    assert MOMENT.fullmatch(listed[2]["lastUsedAt"])
    assert listed[0]["lastUsedAt"] is None


# -- authentication and scopes


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer  ", "Basic YTpi", "Bearer x", "Bearer é", "Bearer \xff", "Bearer \x00", "bearer"]
    + ["Bearer a b", "Token abc", "Bearer " + "x" * 10_000, "\x00", "Bearer,x"],
    ids=lambda header: repr(header)[:20],
)
def test_an_authorization_header_without_a_valid_token_is_401(header: str, db: None) -> None:
    response = Client(headers={"Authorization": header}).get(BALANCE)
    assert_problem(response, 401)
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_the_word_bearer_is_case_insensitive(alice: Customer) -> None:
    token = tokens.issue(alice, "test").token
    assert Client(headers={"Authorization": f"bearer {token}"}).get(BALANCE).status_code == 200


def test_an_expired_token_is_401(alice: Customer) -> None:
    token = tokens.issue(alice, "test", expires_at=timezone.now() - timedelta(seconds=1)).token
    assert_problem(bearer(token).get(BALANCE), 401, "authentication_failed")


def test_a_deactivated_customer_cannot_call_the_api(carol: Customer) -> None:
    token = sign_in().json()["token"]
    Customer.objects.filter(id=carol.id).update(is_active=False)
    assert_problem(bearer(token).get(BALANCE), 401, "authentication_failed")
    assert_problem(sign_in(), 401, "wrong_credentials")


@pytest.mark.parametrize(("path", "body"), [(DEPOSITS, {"amount": "1"}), (WITHDRAWALS, {"amount": "1"})])
def test_moving_cash_needs_the_scope_funds(alice: Customer, api_of: Any, path: str, body: dict) -> None:
    assert_problem(post(api_of(alice, ["read", "trade"]), path, body), 403, "permission_denied")
    assert post(api_of(alice, ["funds"]), path, body).status_code == 201


@pytest.mark.parametrize("path", [BALANCE, POSTINGS, TOKENS])
def test_reading_needs_the_scope_read(alice: Customer, api_of: Any, path: str) -> None:
    assert_problem(api_of(alice, ["trade", "funds"]).get(path), 403, "permission_denied")
    assert api_of(alice, ["read"]).get(path).status_code == 200


@pytest.mark.parametrize("path", [BALANCE, POSTINGS, DEPOSITS, WITHDRAWALS, TOKENS, f"{TOKENS}/{UNKNOWN_ID}"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE"])
def test_an_unsupported_method_is_405(client: Client, method: str, path: str) -> None:
    assert_problem(client.generic(method, path), 405, "method_not_allowed")


@pytest.mark.parametrize(("method", "path"), [("POST", BALANCE), ("GET", DEPOSITS), ("DELETE", TOKENS)])
def test_an_unsupported_method_is_405_on_every_address(client: Client, method: str, path: str) -> None:
    assert_problem(client.generic(method, path), 405, "method_not_allowed")
