"""Simultaneous requests with the same key place one trade and get the same response."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer
from tests.races.test_cancel import together
from trades.models import Trade

REQUESTS = 12


def place(client: Client, key: str, quantity: int = 1) -> Any:
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": quantity}
    return client.post("/api/v1/trades", body, content_type="application/json", headers={"Idempotency-Key": key})


@pytest.mark.django_db(transaction=True)
def test_equal_simultaneous_requests_place_one_trade_and_get_equal_responses(
    alice: Customer, bob: Customer, api_of: Callable[..., Client]
) -> None:
    for key in ("one", "two", "three"):
        before = Trade.objects.count()
        responses: list[Any] = together(*[partial(place, api_of(alice), key)] * REQUESTS)
        assert Trade.objects.count() == before + 1
        assert sorted(response.status_code for response in responses) == [200] * (REQUESTS - 1) + [201]
        assert len({response.content for response in responses}) == 1
        assert [response.get("Idempotent-Replayed") for response in responses].count("true") == REQUESTS - 1
    assert place(api_of(bob), "one").status_code == 201, "keys of different customers are independent"


@pytest.mark.django_db(transaction=True)
def test_of_different_simultaneous_requests_with_one_key_one_wins(
    alice: Customer, api_of: Callable[..., Client]
) -> None:
    before = Trade.objects.count()
    responses: list[Any] = together(*[partial(place, api_of(alice), "mixed", n + 1) for n in range(6)])
    assert sorted(response.status_code for response in responses) == [201] + [409] * 5
    assert {json.loads(response.content).get("code") for response in responses} == {None, "idempotency_key_reused"}
    assert Trade.objects.count() == before + 1
