"""Access control: every address of the API refuses callers who are not allowed to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from accounts import tokens
from accounts.models import Customer, Token
from tests import people
from tests.lasting import lasting
from tests.people import open_account
from tests.security.routes import Route, api_routes
from trades.models import Trade, Type
from trades.place import place_trade
from webhooks import subscriptions

pytestmark = pytest.mark.django_db

ROUTES = api_routes()
CALLS = [(route, method) for route in ROUTES for method in route.methods]
SIGN_IN = ("/api/v1/tokens", "POST")
"""The only call that needs no token."""
PARAMETERS_OF_NO_CUSTOMER = {"ticker", "name", "symbol"}
"""Parameters that do not identify an object of a customer."""


def call_id(route_and_method: tuple[Route, str]) -> str:
    route, method = route_and_method
    return f"{method} {route.path}"


@pytest.fixture(scope="module")
def people_of_module(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[Customer, Customer]]:
    with lasting(django_db_blocker):
        yield people.alice(), people.bob()


@pytest.fixture(scope="module")
def alice(people_of_module: tuple[Customer, Customer]) -> Customer:
    return people_of_module[0]


@pytest.fixture(scope="module")
def bob(people_of_module: tuple[Customer, Customer]) -> Customer:
    return people_of_module[1]


@pytest.fixture(scope="module")
def alices_ids(alice: Customer) -> dict[str, str]:
    """Return the ids of Alice's objects, by parameter name."""
    trade, _ = place_trade(alice.id, "AAPL", Type.BUY, 1)
    return {
        "trade_id": str(trade.id),
        "token_id": str(tokens.issue(alice, "hers").grant.id),
        "webhook_id": str(subscriptions.create(alice.id, "https://93.184.216.34/hers")[0].id),
        "ticker": "AAPL",
        "delivery_id": "1",
    }


def call(client: Client, method: str, path: str, body: Any = None) -> Any:
    return client.generic(method, path, b"{}" if body is None else body, content_type="application/json")


def test_the_routes_are_found() -> None:
    assert {"/api/v1/trades", "/api/v1/trades/{trade_id}", "/api/v1/balance"} <= {route.path for route in ROUTES}


@pytest.mark.parametrize("route_and_method", [c for c in CALLS if (c[0].path, c[1]) != SIGN_IN], ids=call_id)
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer brk_" + "A" * 43, "Basic YTpi", "Bearer \xff", "bearer null"]
)
def test_every_call_without_a_valid_token_is_401(
    alices_ids: dict[str, str], route_and_method: tuple[Route, str], header: str | None
) -> None:
    route, method = route_and_method
    client = Client(headers={} if header is None else {"Authorization": header})
    assert call(client, method, route.to(**alices_ids)).status_code == 401


@pytest.mark.parametrize("route_and_method", [c for c in CALLS if (c[0].path, c[1]) != SIGN_IN], ids=call_id)
@pytest.mark.parametrize("ending", ["deleted", "expired", "customer deactivated"])
def test_a_token_that_has_ended_is_401(
    alices_ids: dict[str, str], alice: Customer, route_and_method: tuple[Route, str], ending: str
) -> None:
    route, method = route_and_method
    expires_at = datetime.now(UTC) - timedelta(hours=1) if ending == "expired" else None
    issued = tokens.issue(alice, "test", expires_at=expires_at)
    if ending == "deleted":
        issued.grant.delete()
    if ending == "customer deactivated":
        Customer.objects.filter(id=alice.id).update(is_active=False)
    client = Client(headers={"Authorization": f"Bearer {issued.token}"})
    assert call(client, method, route.to(**alices_ids)).status_code == 401


@pytest.mark.parametrize(
    "route_and_method", [c for c in CALLS if c[1] != "GET" and (c[0].path, c[1]) != SIGN_IN], ids=call_id
)
def test_a_token_without_the_scope_changes_nothing(
    alices_ids: dict[str, str], alice: Customer, api_of: Callable[..., Client], route_and_method: tuple[Route, str]
) -> None:
    route, method = route_and_method
    response = call(api_of(alice, []), method, route.to(**alices_ids))
    assert response.status_code == 403


@pytest.mark.parametrize(
    "route_and_method", [c for c in CALLS if set(c[0].parameters) - PARAMETERS_OF_NO_CUSTOMER], ids=call_id
)
def test_another_customers_objects_look_nonexistent(
    alices_ids: dict[str, str],
    alice: Customer,
    bob: Customer,
    api_of: Callable[..., Client],
    route_and_method: tuple[Route, str],
) -> None:
    """The response is identical to that for an object that doesn't exist."""
    route, method = route_and_method
    unknown_id = "0" * 8 + "-0000-4000-8000-" + "0" * 12
    nonexistent_ids = {name: "0" if value.isdecimal() else unknown_id for name, value in alices_ids.items()}
    for_alices = call(api_of(bob), method, route.to(**alices_ids))
    for_nonexistent = call(api_of(bob), method, route.to(**nonexistent_ids))
    assert for_alices.status_code == 404
    assert for_alices.content == for_nonexistent.content
    assert Token.objects.filter(id=alices_ids["token_id"]).exists()
    assert Trade.objects.get(id=alices_ids["trade_id"]).customer_id == alice.id


@pytest.mark.parametrize("route_and_method", [c for c in CALLS if c[1] == "GET"], ids=call_id)
def test_no_response_to_bob_contains_alices_data(
    alices_ids: dict[str, str],
    alice: Customer,
    bob: Customer,
    api_of: Callable[..., Client],
    route_and_method: tuple[Route, str],
) -> None:
    route, method = route_and_method
    content = call(api_of(bob), method, route.to(**alices_ids)).content.decode()
    for secret in (alices_ids["trade_id"], alices_ids["token_id"], alices_ids["webhook_id"], alice.email):
        assert secret not in content


@pytest.mark.parametrize(
    "extra", ["customerId", "customer", "customer_id", "status", "price", "amountFilled", "isStaff", "id", "sequence"]
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/trades", {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}),
        ("/api/v1/deposits", {"amount": "1.00"}),
        ("/api/v1/withdrawals", {"amount": "1.00"}),
    ],
)
def test_read_only_fields_are_refused(
    alice: Customer, bob: Customer, api_of: Callable[..., Client], path: str, body: dict[str, Any], extra: str
) -> None:
    before = Trade.objects.count()
    response = api_of(alice).post(path, {**body, extra: bob.id}, content_type="application/json")
    assert response.status_code == 400
    assert Trade.objects.count() == before


@pytest.mark.usefixtures("real_password_hashers")
def test_sign_in_does_not_reveal_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password and an unknown email get the same response and take the same work."""
    from django.contrib.auth.hashers import Argon2PasswordHasher

    hashed: list[str] = []
    for name in ("encode", "verify"):
        original = getattr(Argon2PasswordHasher, name)

        def count_and_hash(self: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
            hashed.append("one")
            return original(self, *args, **kwargs)

        monkeypatch.setattr(Argon2PasswordHasher, name, count_and_hash)
    open_account("known@example.com", Decimal(1), password="right-horse-battery")
    hashed.clear()
    responses = []
    for email in ("known@example.com", "nobody@example.com"):
        body = {"email": email, "password": "wrong-horse", "name": "x"}
        response = Client().post("/api/v1/tokens", body, content_type="application/json")
        responses.append((response.status_code, response.content, len(hashed)))
        hashed.clear()
    assert responses[0] == responses[1]
    assert responses[0][0] == 401
    assert responses[0][2] >= 1


@pytest.mark.parametrize(
    "path",
    ["//evil.example.com", "/\\evil.example.com", "/%2f%2fevil.example.com/", "/admin/login/?next=//evil.example.com"],
)
def test_redirects_never_lead_to_another_host(path: str) -> None:
    response = Client().get(path)
    assert "evil.example.com" not in response.headers.get("Location", "").partition("?")[0]


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/api/docs/", "/api/v1/trades", "/nowhere"])
def test_pages_forbid_framing_sniffing_and_foreign_scripts(path: str) -> None:
    headers = Client().get(path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert ("default-src 'none'" if path.startswith("/api/v1/") else "default-src 'self'") in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


def test_a_cross_site_form_cannot_sign_in() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/admin/login/", {"username": "staff@example.com", "password": "whatever"})
    assert response.status_code == 403


def test_a_session_cookie_does_not_authenticate_the_api(alice: Customer) -> None:
    """Otherwise another site could make a browser call the API."""
    client = Client()
    client.force_login(alice)
    assert client.post("/api/v1/trades", {}, content_type="application/json").status_code == 401
