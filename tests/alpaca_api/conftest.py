"""Calls to the Alpaca-compatible API within this process."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts import tokens
from accounts.models import Customer


class Alpaca:
    """A customer's program that calls the Alpaca-compatible API."""

    def __init__(self, customer: Customer, **scopes: Any) -> None:
        issued = tokens.issue(customer, "alpaca", **scopes)
        self._client = Client(headers={"APCA-API-KEY-ID": issued.key_id, "APCA-API-SECRET-KEY": issued.secret_key})

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the decoded body. A text body is sent unchanged."""
        content = body if isinstance(body, str) else json.dumps(body)
        payload = "" if body is None else content
        response = self._client.generic(method, f"/alpaca/v2/{path}", payload, "application/json")
        return response.status_code, json.loads(response.content) if response.content else None


@pytest.fixture
def alpaca_of() -> Callable[[Customer], Alpaca]:
    return Alpaca
