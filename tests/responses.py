"""Requests to the REST API, and assertions about its responses."""

import json
import re
from typing import Any

from django.test import Client

MONEY = re.compile(r"-?\d+\.\d{4}", re.ASCII)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def post(client: Client, path: str, body: Any, **headers: str) -> Any:
    """POST a JSON value. Headers are given like `idempotency_key="…"`."""
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)


def assert_problem(response: Any, status: int, code: str | None = None, *fields: str) -> dict[str, Any]:
    """Assert that this is a problem response in our format, naming exactly these fields if given; return its body."""
    assert response.status_code == status, response.content[:500]
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert set(body) == {"type", "title", "status", "detail", "code", "errors"}
    assert body["status"] == status
    assert body["detail"]
    for error in body["errors"]:
        assert set(error) == {"field", "code", "detail"}
    if code is not None:
        assert body["code"] == code
    if fields:
        assert {error["field"] for error in body["errors"]} == set(fields)
    return body
