"""Tokens with scopes and an expiry, by API."""

from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from accounts import tokens
from accounts.models import Customer, Token
from tests.people import open_account

PASSWORD = "correct horse battery"


@pytest.fixture
def carol(db: None) -> Customer:
    return open_account("carol@example.com", 1000, password=PASSWORD)  # type: ignore[arg-type]


def create(**more: Any) -> Any:
    body = {"email": "carol@example.com", "password": PASSWORD, "name": "bot"} | more
    return Client().post("/api/v1/tokens", body, content_type="application/json")


def test_a_token_can_have_a_subset_of_scopes(carol: Customer) -> None:
    created = create(scopes=["read"], expiresAt="2999-01-01T00:00:00Z").json()
    assert created["scopes"] == ["read"]
    assert created["expiresAt"] == "2999-01-01T00:00:00.000000Z"
    api = Client(headers={"Authorization": f"Bearer {created['token']}"})
    assert api.get("/api/v1/balance").status_code == 200
    refused = api.post("/api/v1/deposits", {"amount": "1.00"}, content_type="application/json")
    assert refused.status_code == 403
    assert Token.objects.get().last_used_at is not None
    assert created["token"] not in str(Token.objects.values()), "only hashes are stored"
    assert created["secretKey"] not in str(Token.objects.values())


def test_the_pair_names_the_same_grant(carol: Customer) -> None:
    created = create().json()
    assert created["scopes"] == ["read", "trade", "funds", "webhooks"]
    grant = tokens.find_pair(created["keyId"], created["secretKey"])
    assert grant == tokens.find(created["token"])
    assert tokens.find_pair(created["keyId"], created["token"]) is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes.0"),
        ({"scopes": "read"}, "scopes"),
        ({"expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": 7}, "expiresAt"),
        ({"name": ""}, "name"),
    ],
)
def test_invalid_fields_are_named(carol: Customer, wrong: dict, field: str) -> None:
    response = create(**wrong)
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert not Token.objects.exists()


@pytest.mark.parametrize("scopes", [["read"], ["trade"], ["funds"], ["read", "trade"], ["trade", "funds"]])
def test_a_token_without_all_scopes_can_delete_only_itself(carol: Customer, scopes: list[str]) -> None:
    first, other = create(scopes=scopes).json(), create(scopes=["read"]).json()
    api = Client(headers={"Authorization": f"Bearer {first['token']}"})
    for token_id in (other["tokenId"], uuid4()):
        refused = api.delete(f"/api/v1/tokens/{token_id}")
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert tokens.find(other["token"]) is not None
    assert api.delete(f"/api/v1/tokens/{first['tokenId']}").status_code == 204
    assert tokens.find(first["token"]) is None


def test_a_token_cannot_create_another(carol: Customer) -> None:
    """Creating a token takes email and password, so no token can gain more rights."""
    api = Client(headers={"Authorization": f"Bearer {create().json()['token']}"})
    response = api.post("/api/v1/tokens", {"name": "bot"}, content_type="application/json")
    assert response.status_code == 400
    assert {error["field"] for error in response.json()["errors"]} == {"email", "password"}
    assert Token.objects.count() == 1


def test_with_a_second_factor_a_password_alone_creates_no_token(carol: Customer) -> None:
    TOTP.activate(carol, generate_totp_secret())
    refused = create()
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
    assert create(password="wrong").status_code == 401, "a wrong password must not reveal the second factor"
    assert not Token.objects.exists()
