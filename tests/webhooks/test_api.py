"""Managing webhooks by API."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts import tokens
from accounts.models import Customer
from tests.webhooks.conftest import Receiver, create_webhook
from trades.place import place_trade
from webhooks import subscriptions
from webhooks.models import Webhook
from webhooks.queue import enter_events

ApiOf = Callable[..., Client]
URL = "https://93.184.216.34/brokerage"


def send(client: Client, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    response = client.generic(method, path, json.dumps(body or {}), "application/json", headers=headers)
    return response.status_code, response.json() if response.content else None


@pytest.mark.django_db(transaction=True)
def test_a_webhook_from_creation_to_deletion(
    alice: Customer, bob: Customer, api_of: ApiOf, receiver: Receiver, deliver: Callable[[], int]
) -> None:
    api, bobs_api = api_of(alice), api_of(bob)
    status, created = send(api, "POST", "/api/v1/webhooks", {"url": receiver.url, "events": ["trade.filled"]})
    path = f"/api/v1/webhooks/{created['webhookId']}"
    assert (status, created["status"], created["events"]) == (201, "active", ["trade.filled"])
    assert created["secret"].startswith("whsec_")
    assert "secret" not in send(api, "GET", path)[1]
    assert [webhook["url"] for webhook in send(api, "GET", "/api/v1/webhooks")[1]["results"]] == [receiver.url]
    for method, suffix in [("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/test"), ("POST", "/rotate-secret")]:
        assert send(bobs_api, method, path + suffix)[0] == 404
    assert send(api, "POST", f"{path}/test")[0] == 202
    assert send(api, "POST", f"{path}/test")[1]["code"] == "test_pending"
    deliver()
    (delivery,) = send(api, "GET", f"{path}/deliveries")[1]["results"]
    assert (delivery["type"], delivery["lastAnswer"], delivery["attempts"]) == ("webhook.test", "HTTP 200", 1)
    resend_path = f"{path}/deliveries/{delivery['deliveryId']}/resend"
    assert send(api, "POST", resend_path)[0] == 202
    assert deliver() == 1
    assert send(bobs_api, "POST", resend_path)[0] == 404
    assert send(api, "POST", f"{path}/deliveries/{2**62}/resend")[0] == 404
    assert send(api, "POST", f"{path}/resend", {"after": "0"})[1] == {"count": 3, "next": None}
    assert send(api, "POST", f"{path}/resend", {"after": "x"})[0] == 400
    assert deliver() == 3
    assert send(api, "PATCH", path, {"paused": True})[1]["status"] == "paused"
    assert send(api, "PATCH", path, {"paused": False, "events": []})[1]["status"] == "active"
    assert send(api, "PATCH", path, {"url": "https://10.0.0.1/"})[0] == 200, "private addresses are allowed in tests"
    assert send(api, "PATCH", path, {"url": "ftp://x"})[1]["code"] == "address_refused"
    assert send(api, "PATCH", path, {"events": ["nothing"]})[0] == 400
    rotated = send(api, "POST", f"{path}/rotate-secret", {"overlapSeconds": 60})[1]
    assert rotated["secret"] != created["secret"]
    assert rotated["previousSecretUntil"] is not None
    assert send(api, "DELETE", path) == (204, None)
    assert send(api, "GET", path)[0] == 404


def test_repeating_an_idempotency_key_creates_one_webhook(bob: Customer, api_of: ApiOf) -> None:
    api, key = api_of(bob), {"Idempotency-Key": "mine"}
    first = send(api, "POST", "/api/v1/webhooks", {"url": URL}, **key)
    repeated = send(api, "POST", "/api/v1/webhooks", {"url": URL}, **key)
    assert (first[0], repeated[0], repeated[1]) == (201, 200, first[1])
    conflicting = send(api, "POST", "/api/v1/webhooks", {"url": f"{URL}/2"}, **key)
    assert (conflicting[0], conflicting[1]["code"]) == (409, "idempotency_key_reused")
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize("scopes", [["read", "trade", "funds"], ["webhooks"], ["read"], ["trade"]])
def test_creating_a_webhook_needs_the_read_and_webhooks_scopes(bob: Customer, api_of: ApiOf, scopes: list[str]) -> None:
    """A webhook reveals every event, so its token needs the webhooks scope and must be able to read events itself."""
    api = api_of(bob, scopes)
    assert send(api, "POST", "/api/v1/webhooks", {"url": URL})[1]["code"] == "permission_denied"
    webhook = create_webhook(bob, URL)
    if "webhooks" not in scopes:
        for method, path in [("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret")]:
            assert send(api, method, f"/api/v1/webhooks/{webhook.id}{path}")[0] == 403
    assert Webhook.objects.count() == 1
    assert send(api_of(bob, ["read", "webhooks"]), "POST", "/api/v1/webhooks", {"url": URL})[0] == 201


def test_changing_a_url_or_its_events_needs_the_read_scope(bob: Customer, api_of: ApiOf) -> None:
    webhook = create_webhook(bob, URL)
    path = f"/api/v1/webhooks/{webhook.id}"
    without_read = api_of(bob, ["webhooks"])
    changes: list[dict[str, Any]] = [{"url": f"{URL}/2"}, {"events": []}]
    for change in changes:
        assert send(without_read, "PATCH", path, change)[1]["code"] == "permission_denied"
    assert send(without_read, "PATCH", path, {"paused": True})[0] == 200
    webhook.refresh_from_db()
    assert (webhook.url, webhook.status) == (URL, "paused")


def test_a_webhook_ends_with_the_token_that_chose_its_url(bob: Customer, api_of: ApiOf) -> None:
    """Otherwise a token could keep receiving events after its end, by moving a webhook that it did not create."""
    created_on_a_page = create_webhook(bob, URL)
    created_by_a_token = create_webhook(bob, URL, token_id=tokens.issue(bob, "another").grant.id)
    issued = tokens.issue(bob, "mover")
    api = Client(headers={"Authorization": f"Bearer {issued.token}"})
    for webhook in (created_on_a_page, created_by_a_token):
        path = f"/api/v1/webhooks/{webhook.id}"
        unchanged = send(api, "PATCH", path, {"url": URL, "events": ["trade.filled"]})[1]
        assert unchanged["tokenId"] == (str(webhook.token_id) if webhook.token_id else None)
        assert send(api, "PATCH", path, {"url": f"{URL}/2"})[1]["tokenId"] == str(issued.grant.id)
    assert tokens.end(bob.id, issued.grant.id)
    assert not Webhook.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by", ["webhook", "token"])
def test_events_entered_while_a_webhook_is_deleted_do_not_stop_it(bob: Customer, by: str) -> None:
    issued = tokens.issue(bob, "robot")
    webhook = create_webhook(bob, URL, token_id=issued.grant.id)
    place_trade(bob.id, "AAPL", "BUY", 1)
    entered: list[int] = []

    def enter_before_deletion_ends(execute: Any, sql: str, *more: Any) -> Any:
        result = execute(sql, *more)
        if sql.startswith('DELETE FROM "webhooks_delivery"') and not entered:
            with ThreadPoolExecutor(1) as pool:
                entered.append(pool.submit(enter_and_disconnect).result(20))
        return result

    with connection.execute_wrapper(enter_before_deletion_ends):
        if by == "webhook":
            subscriptions.remove(webhook)
        else:
            tokens.end(bob.id, issued.grant.id)
    assert entered == [0]
    assert not Webhook.objects.exists()


def enter_and_disconnect() -> int:
    try:
        return enter_events()
    finally:
        connection.close()


def test_a_webhook_names_the_token_that_created_it(bob: Customer, api_of: ApiOf) -> None:
    api = api_of(bob)
    webhook = send(api, "POST", "/api/v1/webhooks", {"url": URL})[1]
    (token,) = send(api, "GET", "/api/v1/tokens")[1]["results"]
    assert webhook["tokenId"] == token["tokenId"]
    assert send(api, "DELETE", f"/api/v1/tokens/{token['tokenId']}")[0] == 204
    assert not Webhook.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_forty_simultaneous_requests_create_ten_webhooks_at_most(bob: Customer) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(40)

    def create() -> None:
        start.wait(30)
        try:
            subscriptions.create(bob.id, URL)
            outcomes.append("created")
        except subscriptions.TooManyWebhooks:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("created"), outcomes.count("refused"), Webhook.objects.count()) == (10, 30, 10)
