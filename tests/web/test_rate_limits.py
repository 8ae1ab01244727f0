"""Rate limits: counted per customer, reads and orders separately, before any effect."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from redis import Redis

from accounts import tokens
from accounts.models import Customer
from tests.factories import LimitsFactory, PositionFactory
from trades.models import Trade
from trades.place import place_trade
from web import drf, rate_limits
from webhooks import subscriptions

BODY = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}


@pytest.fixture(autouse=True)
def _new_minute() -> Iterator[None]:
    """Begin without counts, in the first second of a minute, so that no test crosses into the next window."""
    rate_limits.reset()
    minute = int(time.time()) // 60 * 60
    with time_machine.travel(datetime.fromtimestamp(minute, UTC)):
        yield


def place(client: Client) -> Any:
    return client.post("/api/v1/trades", BODY, content_type="application/json")


@pytest.mark.django_db(transaction=True)
def test_a_request_beyond_the_limit_is_refused_before_any_effect(
    alice: Customer, bob: Customer, api_of: Callable[..., Client], settings: Any
) -> None:
    settings.ORDERS_A_MINUTE, settings.READS_A_MINUTE = 2, 3
    api = api_of(alice)
    before = Trade.objects.count()
    assert [place(api).status_code for _ in range(2)] == [201, 201]
    refused = place(api)
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert Trade.objects.count() == before + 2
    reads = [api.get("/api/v1/balance") for _ in range(4)]
    assert [response.status_code for response in reads] == [200, 200, 200, 429]
    assert [response["X-RateLimit-Remaining"] for response in reads] == ["2", "1", "0", "0"]
    assert {response["X-RateLimit-Limit"] for response in reads} == {"3"}
    assert api_of(alice).get("/api/v1/balance").status_code == 429, "all tokens of a customer count together"
    assert api_of(bob).get("/api/v1/balance").status_code == 200, "each customer has their own count"


@pytest.mark.django_db(transaction=True)
def test_a_request_counts_in_proportion_to_its_work(
    alice: Customer, api_of: Callable[..., Client], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ORDERS_A_MINUTE = settings.READS_A_MINUTE = 1_000_000
    api, remaining = api_of(alice), {True: 1_000_000, False: 1_000_000}
    webhook, _ = subscriptions.create(alice.id, "https://93.184.216.34/brokerage")

    def cost(method: str, path: str, body: Any = None) -> int:
        headers = {"Accept": "application/json"}
        response = api.generic(method, path, json.dumps(body), "application/json", headers=headers)
        assert response.status_code in {200, 202, 207}, response.content
        before, remaining[method == "GET"] = remaining[method == "GET"], int(response["X-RateLimit-Remaining"])
        return before - remaining[method == "GET"]

    for name in ("trades", "postings", "lots", "gains", "events", f"webhooks/{webhook.id}/deliveries"):
        for limit, expected in ((1, 1), (100, 1), (101, 2), (500, 5)):
            assert cost("GET", f"/api/v1/{name}?limit={limit}") == expected, name
    assert cost("GET", "/api/v1/trades") == 1
    assert cost("GET", "/alpaca/v2/orders?limit=500") == 5
    assert cost("GET", "/alpaca/v2/orders") == 1
    for _ in range(4):
        place_trade(alice.id, "AAPL", "SELL", 1)
    assert cost("POST", f"/api/v1/webhooks/{webhook.id}/resend", {"after": "0"}) == 1
    monkeypatch.setattr(drf, "PAGE_SIZE", 2)
    assert cost("POST", f"/api/v1/webhooks/{webhook.id}/resend", {"after": "0"}) == 4, "7 events"
    assert cost("DELETE", "/alpaca/v2/orders") == 4
    PositionFactory.create(customer=alice, ticker="KO", quantity=1)
    place_trade(alice.id, "AAPL", "SELL", 1)
    assert cost("DELETE", "/alpaca/v2/positions?cancel_orders=true") == 2, "two positions, and one order"


def test_every_response_says_how_many_requests_remain(bob: Customer, api_of: Callable[..., Client]) -> None:
    api = api_of(bob, ["read"])
    for response, status in [
        (api.get("/api/v1/trades/00000000-0000-0000-0000-000000000000"), 404),
        (api.get("/api/v1/trades?limit=x"), 400),
        (place(api), 403),
    ]:
        assert response.status_code == status
        assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= set(response.headers)


def test_strangers_see_their_limit_and_are_limited_by_address(
    bob: Customer, api_of: Callable[..., Client], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STRANGERS_A_MINUTE = 5
    monkeypatch.setattr(rate_limits, "WINDOW_SECONDS", 86_400)  # so that no window ends during the test
    calls = [
        (lambda: Client().get("/api/v1/balance"), 401),
        (lambda: Client(headers={"Authorization": "Bearer brk_unknown"}).get("/api/v1/balance"), 401),
        (lambda: Client().get("/alpaca/v2/account"), 401),
        (lambda: Client().post("/api/v1/tokens", {}, content_type="application/json"), 400),
        (lambda: Client().post("/api/v1/balance"), 405),
        (lambda: Client().get("/api/v1/balance"), 429),
    ]
    for n, (call, status) in enumerate(calls, 1):
        response = call()
        assert response.status_code == status, n
        assert response["X-RateLimit-Limit"] == "5"
        assert response["X-RateLimit-Remaining"] == str(max(0, 5 - n))
        assert 0 <= int(response["X-RateLimit-Reset"]) - time.time() <= 86_401
    assert 1 <= int(response["Retry-After"]) <= 86_400
    with_token = api_of(bob).get("/api/v1/balance")
    assert with_token.status_code == 200, "requests with a token don't count against the address"
    assert with_token["X-RateLimit-Limit"] == str(settings.READS_A_MINUTE)
    assert Client(REMOTE_ADDR="192.0.2.7").get("/api/v1/balance").status_code == 401
    refused = api_of(bob).put("/api/v1/balance")
    assert (refused.status_code, refused["X-RateLimit-Limit"]) == (405, str(settings.ORDERS_A_MINUTE))


def test_a_customer_can_have_limits_of_their_own(bob: Customer, api_of: Callable[..., Client]) -> None:
    LimitsFactory.create(customer=bob, reads_a_minute=1)
    api = api_of(bob)
    assert [api.get("/api/v1/balance").status_code for _ in range(2)] == [200, 429]
    assert api.delete("/api/v1/balance").status_code == 405


@pytest.mark.usefixtures("static_files", "exchange")
def test_pages_and_tokens_of_a_customer_count_together(
    alice: Customer, api_of: Callable[..., Client], settings: Any
) -> None:
    settings.READS_A_MINUTE, settings.ORDERS_A_MINUTE = 3, 1
    page = Client()
    page.force_login(alice, "allauth.account.auth_backends.AuthenticationBackend")
    assert api_of(alice).get("/api/v1/balance").status_code == 200
    assert [page.get("/cash").status_code for _ in range(3)] == [200, 200, 429]
    assert [page.post("/account", {"name": ""}).status_code for _ in range(2)] == [422, 429]
    refused = page.get("/cash")
    assert refused["Content-Type"].startswith("text/html")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert api_of(alice).get("/api/v1/balance").status_code == 429
    assert page.get("/healthz").status_code == 200, "health checks are not limited"


@pytest.mark.usefixtures("static_files", "exchange")
def test_a_customers_own_limits_apply_to_pages(bob: Customer, settings: Any) -> None:
    LimitsFactory.create(customer=bob, reads_a_minute=1)
    page = Client()
    page.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    assert [page.get("/cash").status_code for _ in range(2)] == [200, 429]


@pytest.mark.usefixtures("static_files")
def test_strangers_on_pages_are_limited_by_address(db: None, settings: Any) -> None:
    settings.STRANGERS_A_MINUTE = 2
    forged = Client()
    forged.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    responses = [client.get("/account/login/") for client in (Client(), forged, Client())]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert Client(REMOTE_ADDR="192.0.2.7").get("/account/login/").status_code == 200


def test_without_the_cache_nobody_is_limited(bob: Customer, api_of: Callable[..., Client], settings: Any) -> None:
    settings.READS_A_MINUTE = 1
    settings.CACHE_URL = "redis://127.0.0.1:1/0"
    rate_limits.reset()
    api = api_of(bob)
    assert [api.get("/api/v1/balance").status_code for _ in range(3)] == [200, 200, 200]
    rate_limits.reset()


def test_counting_begins_anew_in_the_next_window(bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = tokens.find(tokens.issue(bob, "x").token)
    assert grant is not None
    monkeypatch.setattr(rate_limits, "WINDOW_SECONDS", 1)
    assert rate_limits.count(grant, True).remaining == rate_limits.count(grant, True).remaining + 1
    used = rate_limits.count(grant, True)
    time.sleep(1.1)
    assert rate_limits.count(grant, True).remaining == used.remaining + 2
    assert Decimal(used.limit) > 0


def test_far_from_the_limit_requests_are_counted_locally_and_added_later(
    bob: Customer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.READS_A_MINUTE = 200  # each process counts two of these locally before it asks the cache
    monkeypatch.setattr(rate_limits, "WINDOW_SECONDS", 86_400)
    grant = tokens.find(tokens.issue(bob, "x").token)
    assert grant is not None
    assert [rate_limits.count(grant, True).remaining for _ in range(2)] == [199, 198]
    assert not Redis.from_url(settings.CACHE_URL).keys(f"*limit:{grant.customer_id}:*")
    rate_limits.count(grant, True)
    rate_limits.reset()  # another process
    assert [rate_limits.count(grant, True).remaining for _ in range(3)] == [199, 198, 194]
    assert [rate_limits.count(grant, True).exceeded for _ in range(195)] == [False] * 194 + [True]
