"""Errors: problem details for the API, a page for people, and 503 while a part of the system is unavailable."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client

from accounts import tokens
from accounts.customers import create_customer
from brokerage.errors import TABLE
from tests.responses import assert_problem, post
from web.problems import problem

BUY = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
READS = ["/api/v1/trades", "/api/v1/balance", "/api/v1/positions", "/api/v1/postings", "/api/v1/tokens"]
STRANGER = Client(headers={"Authorization": "Bearer brk_x"})


def test_a_problem_has_the_parts_of_rfc_9457_and_ours() -> None:
    assert problem(409, "taken", "It is taken.") == {
        "type": "/api/errors/#taken",
        "title": "Conflict",
        "status": 409,
        "detail": "It is taken.",
        "code": "taken",
        "errors": [],
    }


def test_the_table_is_in_order() -> None:
    for kind, (status, code, detail, field, *_) in TABLE.items():
        assert issubclass(kind, Exception)
        assert 400 <= status <= 503
        assert code.isidentifier()
        assert detail.endswith(".")
        assert field is None or field in {"stockTicker", "quantity", "amount", "url"}


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/trades", "/api/v1/trades/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "NONSENSE"])
def test_an_unknown_api_address_gets_a_problem(db: None, method: str, path: str) -> None:
    assert_problem(Client().generic(method, path), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/api/%00", "/api/%ff", "/api/%0d%0aX: y", "/api/" + "x" * 5000, "/exchange/x", "/api//"]
)
def test_malformed_api_addresses_get_a_problem(db: None, path: str) -> None:
    assert_problem(Client().get(path), 404, "not_found")


def test_an_unknown_page_address_gets_a_page(db: None) -> None:
    response = Client().get("/nothing")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
    assert b"There is nothing at this address." in response.content


def test_an_unknown_host_is_refused(db: None) -> None:
    for host in ("evil.example", "a b\x00"):
        assert_problem(Client(headers={"Host": host}).get("/api/v1/balance"), 400, "bad_request")


def test_too_many_parameters_are_refused(alice: Any, api_of: Any) -> None:
    many = "&".join(f"a{n}=1" for n in range(2000))
    assert_problem(api_of(alice).get(f"/api/v1/trades?{many}"), 400, "bad_request")


# -- the database is unavailable


@pytest.mark.parametrize("path", READS)
def test_without_the_database_the_api_returns_503_with_retry_after(database_down: None, path: str) -> None:
    response = STRANGER.get(path)
    assert_problem(response, 503, "unavailable")
    assert int(response["Retry-After"]) > 0


def test_without_the_database_placing_a_trade_returns_503(database_down: None) -> None:
    assert_problem(post(STRANGER, "/api/v1/trades", BUY), 503, "unavailable")


def test_without_the_database_signing_in_returns_503(database_down: None) -> None:
    body = {"email": "x@example.com", "password": "x", "name": "x"}
    assert_problem(post(Client(), "/api/v1/tokens", body), 503, "unavailable")


@pytest.mark.parametrize("path", ["/admin/", "/nothing", "/metrics"])
def test_without_the_database_pages_return_503_as_a_page(database_down: None, path: str) -> None:
    client = Client()
    client.cookies[configured.SESSION_COOKIE_NAME] = "x" * 32  # makes the page look the session up
    response = client.get(path)
    assert response.status_code == (404 if path == "/nothing" else 503)
    assert b"Brokerage" in response.content
    assert response.status_code == 404 or int(response["Retry-After"]) > 0


def test_a_standby_checks_credentials_but_creates_no_token(
    standby_for: Callable[[], AbstractContextManager[None]],
) -> None:
    create_customer("x@example.com", "copper lantern drifts 41")
    body = {"email": "x@example.com", "password": "copper lantern drifts 41", "name": "x"}
    with standby_for():
        assert_problem(post(Client(), "/api/v1/tokens", body | {"email": "nobody@example.com"}), 401)
        assert_problem(post(Client(), "/api/v1/tokens", body), 503, "unavailable")
    assert post(Client(), "/api/v1/tokens", body).status_code == 201


def test_a_trade_is_not_placed_on_a_standby(standby_for: Callable[[], AbstractContextManager[None]]) -> None:
    customer = create_customer("x@example.com", None)
    token = tokens.issue(customer, "test")
    grant = tokens.find(token.token)
    assert grant is not None
    tokens.note_use(grant)
    client = Client(headers={"Authorization": f"Bearer {token.token}"})
    with standby_for():
        assert client.get("/api/v1/balance").status_code == 200
        response = post(client, "/api/v1/trades", BUY)
        assert_problem(response, 503, "unavailable")
        assert "Retry-After" in response
    assert post(client, "/api/v1/trades", BUY).status_code == 201


def test_an_internal_error_is_a_problem_without_details(
    alice: Any, api_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts import api

    def fail(customer_id: int) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(api, "cash_of", fail)
    response = api_of(alice).get("/api/v1/balance")
    assert_problem(response, 500, "error")
    assert b"secret" not in response.content
