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
from tests.webhooks.conftest import Receiver, webhook
from trades.place import place_trade
from webhooks import subscriptions
from webhooks.models import Webhook
from webhooks.queue import enter_events

ApiOf = Callable[..., Client]
ADDRESS = "https://93.184.216.34/brokerage"


def send(client: Client, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    answer = client.generic(method, path, json.dumps(body or {}), "application/json", headers=headers)
    return answer.status_code, answer.json() if answer.content else None


@pytest.mark.django_db(transaction=True)
def test_the_life_of_a_webhook(
    alice: Customer, bob: Customer, api_of: ApiOf, receiver: Receiver, deliver: Callable[[], int]
) -> None:
    api, other = api_of(alice), api_of(bob)
    status, made = send(api, "POST", "/api/v1/webhooks", {"url": receiver.url, "events": ["trade.filled"]})
    address = f"/api/v1/webhooks/{made['webhookId']}"
    assert (status, made["status"], made["events"]) == (201, "active", ["trade.filled"])
    assert made["secret"].startswith("whsec_")
    assert "secret" not in send(api, "GET", address)[1]
    assert [hook["url"] for hook in send(api, "GET", "/api/v1/webhooks")[1]["results"]] == [receiver.url]
    for method, path in [("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/test"), ("POST", "/rotate-secret")]:
        assert send(other, method, address + path)[0] == 404
    assert send(api, "POST", f"{address}/test")[0] == 202
    assert send(api, "POST", f"{address}/test")[1]["code"] == "test_pending"
    deliver()
    (delivery,) = send(api, "GET", f"{address}/deliveries")[1]["results"]
    assert (delivery["type"], delivery["lastAnswer"], delivery["attempts"]) == ("webhook.test", "HTTP 200", 1)
    again = f"{address}/deliveries/{delivery['deliveryId']}/resend"
    assert send(api, "POST", again)[0] == 202
    assert deliver() == 1
    assert send(other, "POST", again)[0] == 404
    assert send(api, "POST", f"{address}/deliveries/{2**62}/resend")[0] == 404
    assert send(api, "POST", f"{address}/resend", {"after": "0"})[1] == {"count": 3, "next": None}
    assert send(api, "POST", f"{address}/resend", {"after": "x"})[0] == 400
    assert deliver() == 3
    assert send(api, "PATCH", address, {"paused": True})[1]["status"] == "paused"
    assert send(api, "PATCH", address, {"paused": False, "events": []})[1]["status"] == "active"
    assert send(api, "PATCH", address, {"url": "https://10.0.0.1/"})[0] == 200, "private addresses are allowed in tests"
    assert send(api, "PATCH", address, {"url": "ftp://x"})[1]["code"] == "address_refused"
    assert send(api, "PATCH", address, {"events": ["nothing"]})[0] == 400
    rotated = send(api, "POST", f"{address}/rotate-secret", {"overlapSeconds": 60})[1]
    assert rotated["secret"] != made["secret"]
    assert rotated["previousSecretUntil"] is not None
    assert send(api, "DELETE", address) == (204, None)
    assert send(api, "GET", address)[0] == 404


def test_the_same_key_makes_one_webhook(bob: Customer, api_of: ApiOf) -> None:
    api, keyed = api_of(bob), {"Idempotency-Key": "mine"}
    first = send(api, "POST", "/api/v1/webhooks", {"url": ADDRESS}, **keyed)
    again = send(api, "POST", "/api/v1/webhooks", {"url": ADDRESS}, **keyed)
    assert (first[0], again[0], again[1]) == (201, 200, first[1])
    other = send(api, "POST", "/api/v1/webhooks", {"url": f"{ADDRESS}/2"}, **keyed)
    assert (other[0], other[1]["code"]) == (409, "idempotency_key_reused")
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize("scopes", [["read", "trade", "funds"], ["webhooks"], ["read"], ["trade"]])
def test_a_token_that_may_not_read_or_make_webhooks_makes_none(bob: Customer, api_of: ApiOf, scopes: list[str]) -> None:
    """A webhook tells of everything: it needs its own scope, and no less than the token could read itself."""
    api = api_of(bob, scopes)
    assert send(api, "POST", "/api/v1/webhooks", {"url": ADDRESS})[1]["code"] == "permission_denied"
    hook = webhook(bob, ADDRESS)
    if "webhooks" not in scopes:
        for method, path in [("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret")]:
            assert send(api, method, f"/api/v1/webhooks/{hook.id}{path}")[0] == 403
    assert Webhook.objects.count() == 1
    assert send(api_of(bob, ["read", "webhooks"]), "POST", "/api/v1/webhooks", {"url": ADDRESS})[0] == 201


def test_choosing_where_events_go_needs_what_the_events_tell(bob: Customer, api_of: ApiOf) -> None:
    hook = webhook(bob, ADDRESS)
    address = f"/api/v1/webhooks/{hook.id}"
    blind = api_of(bob, ["webhooks"])
    changes: list[dict[str, Any]] = [{"url": f"{ADDRESS}/2"}, {"events": []}]
    for change in changes:
        assert send(blind, "PATCH", address, change)[1]["code"] == "permission_denied"
    assert send(blind, "PATCH", address, {"paused": True})[0] == 200
    hook.refresh_from_db()
    assert (hook.url, hook.status) == (ADDRESS, "paused")


def test_a_webhook_ends_with_the_token_that_chose_its_url(bob: Customer, api_of: ApiOf) -> None:
    """Otherwise a token could send everybody's events to itself for ever, by moving a webhook that it did not make."""
    on_page, of_another = webhook(bob, ADDRESS), webhook(bob, ADDRESS, token_id=tokens.issue(bob, "another").grant.id)
    issued = tokens.issue(bob, "mover")
    api = Client(headers={"Authorization": f"Bearer {issued.token}"})
    for hook in (on_page, of_another):
        address = f"/api/v1/webhooks/{hook.id}"
        unmoved = send(api, "PATCH", address, {"url": ADDRESS, "events": ["trade.filled"]})[1]
        assert unmoved["tokenId"] == (str(hook.token_id) if hook.token_id else None)
        assert send(api, "PATCH", address, {"url": f"{ADDRESS}/2"})[1]["tokenId"] == str(issued.grant.id)
    assert tokens.end(bob.id, issued.grant.id)
    assert not Webhook.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by", ["webhook", "token"])
def test_events_entered_while_a_webhook_is_deleted_do_not_stop_it(bob: Customer, by: str) -> None:
    issued = tokens.issue(bob, "robot")
    hook = webhook(bob, ADDRESS, token_id=issued.grant.id)
    place_trade(bob.id, "AAPL", "BUY", 1)
    entered: list[int] = []

    def enter_in_between(execute: Any, sql: str, *more: Any) -> Any:
        result = execute(sql, *more)
        if sql.startswith('DELETE FROM "webhooks_delivery"') and not entered:
            with ThreadPoolExecutor(1) as pool:
                entered.append(pool.submit(enter_and_disconnect).result(20))
        return result

    with connection.execute_wrapper(enter_in_between):
        if by == "webhook":
            subscriptions.remove(hook)
        else:
            tokens.end(bob.id, issued.grant.id)
    assert entered == [0]
    assert not Webhook.objects.exists()


def enter_and_disconnect() -> int:
    try:
        return enter_events()
    finally:
        connection.close()


def test_a_webhook_says_which_token_made_it(bob: Customer, api_of: ApiOf) -> None:
    api = api_of(bob)
    made = send(api, "POST", "/api/v1/webhooks", {"url": ADDRESS})[1]
    (listed,) = send(api, "GET", "/api/v1/tokens")[1]["results"]
    assert made["tokenId"] == listed["tokenId"]
    assert send(api, "DELETE", f"/api/v1/tokens/{listed['tokenId']}")[0] == 204
    assert not Webhook.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_ten_at_most_also_when_forty_are_made_at_once(bob: Customer) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(40)

    def make() -> None:
        start.wait(30)
        try:
            subscriptions.create(bob.id, ADDRESS)
            outcomes.append("made")
        except subscriptions.TooManyWebhooks:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("made"), outcomes.count("refused"), Webhook.objects.count()) == (10, 30, 10)
