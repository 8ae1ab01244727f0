"""Tokens with scopes and an end, by API."""

from typing import Any

import pytest
from django.test import Client

from accounts import tokens
from accounts.models import Customer, Token
from tests.people import open_account

PASSWORD = "correct horse battery"


@pytest.fixture
def carol(db: None) -> Customer:
    return open_account("carol@example.com", 1000, password=PASSWORD)  # type: ignore[arg-type]


def ask(**more: Any) -> Any:
    body = {"email": "carol@example.com", "password": PASSWORD, "name": "bot"} | more
    return Client().post("/api/v1/tokens", body, content_type="application/json")


def test_a_token_may_be_given_less_than_everything(carol: Customer) -> None:
    made = ask(scopes=["read"], expiresAt="2999-01-01T00:00:00Z").json()
    assert made["scopes"] == ["read"]
    assert made["expiresAt"] == "2999-01-01T00:00:00.000000Z"
    api = Client(headers={"Authorization": f"Bearer {made['token']}"})
    assert api.get("/api/v1/balance").status_code == 200
    refused = api.post("/api/v1/deposits", {"amount": "1.00"}, content_type="application/json")
    assert refused.status_code == 403
    assert Token.objects.get().last_used_at is not None
    assert made["token"] not in str(Token.objects.values()), "kept as hashes"
    assert made["secretKey"] not in str(Token.objects.values())


def test_the_pair_names_the_same_grant(carol: Customer) -> None:
    made = ask().json()
    assert made["scopes"] == ["read", "trade", "funds"]
    grant = tokens.find_pair(made["keyId"], made["secretKey"])
    assert grant == tokens.find(made["token"])
    assert tokens.find_pair(made["keyId"], made["token"]) is None


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
def test_what_makes_no_sense_is_named(carol: Customer, wrong: dict, field: str) -> None:
    answer = ask(**wrong)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Token.objects.exists()
