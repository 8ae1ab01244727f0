"""Repeating a token request with the same key returns the same token."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Customer, SignIn, Token
from tests.people import open_account
from tests.responses import assert_problem, post

PASSWORD = "correct horse battery staple"
REQUEST = {"email": "carol@example.com", "password": PASSWORD, "name": "my program"}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def carol(transactional_db: None) -> Customer:
    return open_account("carol@example.com", Decimal(1), password=PASSWORD)


def create(key: str | None = "key-1", **more: Any) -> Any:
    headers = {} if key is None else {"idempotency_key": key}
    return post(Client(), "/api/v1/tokens", REQUEST | more, **headers)


def test_the_same_key_shows_the_same_secrets() -> None:
    first, second = create(), create()
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json() == first.json()
    created = first.json()
    assert created["token"].startswith("brk_")
    assert len(created["token"]) == 4 + 43
    assert len(created["secretKey"]) == 43
    assert Client(headers={"Authorization": f"Bearer {created['token']}"}).get("/api/v1/balance").status_code == 200
    pair = {"APCA-API-KEY-ID": created["keyId"], "APCA-API-SECRET-KEY": created["secretKey"]}
    assert Client(headers=pair).get("/alpaca/v2/account").status_code == 200
    assert Token.objects.count() == 1
    assert SignIn.objects.filter(kind=SignIn.Kind.TOKEN).count() == 1


def test_other_keys_make_other_tokens() -> None:
    created = [create(key).json() for key in ("a", "b", None, None)]
    for secret in ("tokenId", "token", "keyId", "secretKey"):
        assert len({token[secret] for token in created}) == 4


@pytest.mark.parametrize(
    "other",
    [{"name": "other"}, {"scopes": ["read"]}, {"expiresAt": "2999-01-01T00:00:00Z"}, {"allowedAddresses": ["::1"]}],
)
def test_the_same_key_for_another_token_is_refused(other: dict[str, Any]) -> None:
    create()
    assert_problem(create(**other), 409, "idempotency_key_reused")
    assert Token.objects.count() == 1


def test_a_wrong_password_learns_nothing() -> None:
    create()
    assert_problem(create(password="wrong horse battery staple"), 401, "wrong_credentials")


def test_after_a_password_change_old_secrets_are_not_shown(carol: Customer) -> None:
    create()
    carol.set_password("another horse battery staple")
    carol.save()
    assert_problem(create(password="another horse battery staple"), 409, "idempotency_key_reused")


def test_secrets_are_still_shown_after_replacing_the_secret_key(settings: Any) -> None:
    first = create().json()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another-secret-key"
    assert create().json() == first


def test_a_deleted_token_frees_its_key() -> None:
    first = create().json()
    Client(headers={"Authorization": f"Bearer {first['token']}"}).delete(f"/api/v1/tokens/{first['tokenId']}")
    assert create().status_code == 201


def test_secrets_are_not_stored() -> None:
    created = create().json()
    (row,) = Token.objects.values()
    assert not {created["token"], created["secretKey"]} & set(map(str, row.values()))


def test_simultaneous_requests_with_one_key_make_one_token() -> None:
    def create_and_disconnect(_: int) -> Any:
        try:
            return create()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        responses = list(threads.map(create_and_disconnect, range(3)))
    assert sorted(response.status_code for response in responses) == [200, 200, 201]
    assert len({response.json()["token"] for response in responses}) == 1
    assert Token.objects.count() == 1
