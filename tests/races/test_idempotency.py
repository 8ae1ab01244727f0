"""The same key used many times at once gives one trade, and the same response to all."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer
from tests.races.test_cancel import together
from trades.models import Trade

AT_ONCE = 12


def place(client: Client, key: str, quantity: int = 1) -> Any:
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": quantity}
    return client.post("/api/v1/trades", body, content_type="application/json", headers={"Idempotency-Key": key})


@pytest.mark.django_db(transaction=True)
def test_equal_simultaneous_requests_give_one_trade_and_equal_responses(
    alice: Customer, bob: Customer, api_of: Callable[..., Client]
) -> None:
    for key in ("one", "two", "three"):
        before = Trade.objects.count()
        answers: list[Any] = together(*[partial(place, api_of(alice), key)] * AT_ONCE)
        assert Trade.objects.count() == before + 1
        assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE - 1) + [201]
        assert len({answer.content for answer in answers}) == 1
        assert [answer.get("Idempotent-Replayed") for answer in answers].count("true") == AT_ONCE - 1
    assert place(api_of(bob), "one").status_code == 201, "keys of different customers are independent"


@pytest.mark.django_db(transaction=True)
def test_of_n_different_requests_with_one_key_one_wins(alice: Customer, api_of: Callable[..., Client]) -> None:
    before = Trade.objects.count()
    answers: list[Any] = together(*[partial(place, api_of(alice), "mixed", n + 1) for n in range(6)])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert {json.loads(answer.content).get("code") for answer in answers} == {None, "idempotency_key_reused"}
    assert Trade.objects.count() == before + 1
