"""Allowed addresses of a token, and where it was last used."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts import tokens
from accounts.customers import create_customer
from accounts.models import Customer, Token
from tests.office.conftest import signed_in
from tests.people import open_account
from tests.responses import assert_problem, post
from web.authentication import is_within

PASSWORD = "correct horse battery staple"


def create(email: str, **more: Any) -> Any:
    return post(Client(), "/api/v1/tokens", {"email": email, "password": PASSWORD, "name": "x"} | more)


@pytest.mark.parametrize(
    ("address", "networks", "within"),
    [
        ("203.0.113.7", ["203.0.113.0/24"], True),
        ("203.0.114.7", ["203.0.113.0/24"], False),
        ("203.0.113.7", ["198.51.100.1/32", "203.0.113.7/32"], True),
        ("::ffff:203.0.113.7", ["203.0.113.0/24"], True),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db8::1", ["203.0.113.0/24"], False),
        ("203.0.113.7", ["2001:db8::/32"], False),
        ("", ["0.0.0.0/0"], False),
        ("nonsense", ["0.0.0.0/0"], False),
    ],
)
def test_an_address_is_within_networks(address: str, networks: list[str], within: bool) -> None:
    assert is_within(address, networks) is within


def test_every_api_refuses_a_token_from_other_addresses(bob: Customer) -> None:
    issued = tokens.issue(bob, "x", allowed_addresses=["203.0.113.0/24"])
    bearer = {"Authorization": f"Bearer {issued.token}"}
    pair = {"APCA-API-KEY-ID": issued.key_id, "APCA-API-SECRET-KEY": issued.secret_key}
    assert Client(headers=bearer, REMOTE_ADDR="203.0.113.9").get("/api/v1/balance").status_code == 200
    assert_problem(Client(headers=bearer).get("/api/v1/balance"), 403, "address_not_allowed")
    assert_problem(post(Client(headers=bearer), "/api/v1/trades", {}), 403, "address_not_allowed")
    assert Client(headers=pair, REMOTE_ADDR="203.0.113.9").get("/alpaca/v2/account").status_code == 200
    refused = Client(headers=pair).get("/alpaca/v2/account")
    assert (refused.status_code, refused.json()["code"]) == (403, 40310000)
    assert "can't be used from your address" in refused.json()["message"]
    assert Client(headers={"Authorization": "Bearer brk_x"}).get("/api/v1/balance").status_code == 401


def test_a_refused_use_counts_as_a_strangers_request(bob: Customer, settings: Any) -> None:
    settings.STRANGERS_A_MINUTE = 2
    token = tokens.issue(bob, "x", allowed_addresses=["203.0.113.0/24"]).token
    client = Client(headers={"Authorization": f"Bearer {token}"})
    assert {client.get("/api/v1/balance").status_code for _ in range(6)} == {403, 429}


def test_a_refused_use_does_not_update_last_used(bob: Customer) -> None:
    token = tokens.issue(bob, "x", allowed_addresses=["203.0.113.0/24"]).token
    Client(headers={"Authorization": f"Bearer {token}"}).get("/api/v1/balance")
    assert Token.objects.get().last_used_at is None


def test_the_api_sets_and_shows_allowed_addresses(db: None) -> None:
    open_account("carol@example.com", Decimal(1), password=PASSWORD)
    created = create("carol@example.com", allowedAddresses=["127.0.0.1", " 203.0.113.9/24", "2001:DB8::/32"]).json()
    assert created["allowedAddresses"] == ["127.0.0.1/32", "203.0.113.0/24", "2001:db8::/32"]
    client = Client(headers={"Authorization": f"Bearer {created['token']}"})
    client.get("/api/v1/balance")
    (listed,) = client.get("/api/v1/tokens").json()["results"]
    assert listed["allowedAddresses"] == created["allowedAddresses"]
    assert listed["lastUsedAddress"] == "127.0.0.1"
    assert create("carol@example.com").json()["allowedAddresses"] == []


@pytest.mark.parametrize(
    "wrong", [["x"], ["203.0.113.0/33"], [7], "127.0.0.1", [""], ["1" * 60], ["127.0.0.1"] * 21, ["\x00"], [None]]
)
def test_an_invalid_network_is_named(db: None, wrong: Any) -> None:
    body = assert_problem(create("carol@example.com", allowedAddresses=wrong), 400, "invalid")
    assert body["errors"][0]["field"].startswith("allowedAddresses")


@pytest.mark.usefixtures("static_files", "exchange")
def test_the_pages_set_and_show_allowed_addresses(bob: Customer) -> None:
    browser = Client()
    browser.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    form = {"name": "mine", "scopes": ["read"], "addresses": "203.0.113.7, 198.51.100.0/24"}
    assert browser.post("/account/tokens", form | {"addresses": "here"}).status_code == 422
    assert browser.post("/account/tokens", form).status_code == 200
    Token.objects.update(last_used_at="2026-01-02T03:04:05Z", last_used_address="203.0.113.7")
    owner = signed_in(create_customer("owner@example.com", None, is_staff=True, is_superuser=True))
    pages = (browser.get("/account/tokens"), owner.get(f"/admin/accounts/customer/{bob.id}/change/?tab=access"))
    for html in (response.content.decode() for response in pages):
        assert "only from 203.0.113.7/32, 198.51.100.0/24" in html
        assert "from 203.0.113.7" in html
