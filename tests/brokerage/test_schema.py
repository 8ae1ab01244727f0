"""The OpenAPI document has an example of every body, and every error code."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, InternalError, OperationalError
from django.test import Client
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework import exceptions

from accounts.models import Customer
from alpaca_api import drf as alpaca
from brokerage import errors, refusals, schema
from feed.reader import EVENT_TYPES, start_after
from trades.api import ExchangeUnavailable
from trades.models import Reason

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = yaml.load((DOCS / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
OPERATIONS = {
    operation["operationId"]: operation
    for item in SCHEMA["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict) and "responses" in operation
}


def as_json_schema(part: Any) -> Any:
    """Translate OpenAPI 3.0 to JSON Schema: `nullable` allows null, and undeclared properties are refused."""
    if isinstance(part, list):
        return [as_json_schema(item) for item in part]
    if not isinstance(part, dict):
        return part
    schema = {name: as_json_schema(value) for name, value in part.items() if name not in {"nullable", "example"}}
    if "properties" in schema and isinstance(schema["properties"], dict):
        schema.setdefault("additionalProperties", False)
    return {"anyOf": [schema, {"type": "null"}]} if part.get("nullable") is True else schema


COMPONENTS = as_json_schema(copy.deepcopy(SCHEMA["components"]))


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every JSON body of a request or a successful response."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "application/json":
            yield "request", content
    for status, response in operation["responses"].items():
        if status.startswith("2") and "application/json" in response.get("content", {}):
            yield status, response["content"]["application/json"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_body_has_an_example_that_its_own_schema_allows(name: str) -> None:
    for body_name, content in bodies(OPERATIONS[name]):
        assert "example" in content, f"{body_name}: write one in brokerage/examples.py"
        schema = {"components": COMPONENTS, **as_json_schema(content["schema"])}
        errors = Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(content["example"])
        assert [f"{body_name}: {error.json_path}: {error.message}" for error in errors] == []


def test_the_check_of_examples_can_fail() -> None:
    (_, content), *_ = bodies(OPERATIONS["getTrade"])
    validator = Draft202012Validator({"components": COMPONENTS, **as_json_schema(content["schema"])})
    trade = content["example"]
    for invalid in (trade | {"quantity": "3"}, trade | {"more": 1}, {**trade, "status": None}, {"tradeId": "x"}):
        assert not validator.is_valid(invalid)
    assert validator.is_valid(trade | {"price": None})


def test_every_example_belongs_to_an_operation() -> None:
    named = {name if isinstance(name, str) else name[0] for name in (*schema.ANSWERS, *schema.REQUESTS)}
    assert named <= set(OPERATIONS)
    assert len(OPERATIONS) > 45


def test_the_feed_accepts_the_ids_of_events_in_examples(bob: Customer, api_of: Callable[[Customer], Client]) -> None:
    examples = json.dumps([schema.REQUESTS, list(schema.ANSWERS.values())], default=str)
    ids = set(re.findall(r"\b[0-9a-f]{32}\b", examples))
    assert ids
    for event_id in ids:
        assert str(start_after(event_id)) == event_id
        response = api_of(bob).get("/api/v1/events", {"after": event_id}, headers={"Accept": "application/json"})
        assert response.status_code == 200


def test_the_schema_has_the_feeds_event_types_and_parameters() -> None:
    assert SCHEMA["components"]["schemas"]["EventType"]["enum"] == list(EVENT_TYPES)
    parameters = OPERATIONS["listEvents"]["parameters"]
    assert [parameter["name"] for parameter in parameters if parameter["in"] == "header"] == ["Last-Event-ID"]
    assert {parameter["name"] for parameter in parameters if parameter["in"] == "query"} == {"after", "limit"}


def test_examples_show_no_secret_that_could_be_one() -> None:
    examples = json.dumps([schema.REQUESTS, list(schema.ANSWERS.values())])
    assert not re.search(r"brk_[A-Za-z0-9]{20}", examples)


FRAMEWORK_ERRORS: list[type[exceptions.APIException]] = [
    exceptions.NotAuthenticated,
    exceptions.AuthenticationFailed,
    exceptions.PermissionDenied,
    exceptions.NotFound,
    exceptions.ParseError,
    exceptions.UnsupportedMediaType,
    exceptions.Throttled,
    ExchangeUnavailable,
]
CODES = sorted(
    {row[1] for row in errors.TABLE.values()}
    | {kind.default_code for kind in FRAMEWORK_ERRORS}
    | {"invalid", "wrong_credentials", "second_factor_required"}
)


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_its_meaning_in_the_schema_and_on_the_page(code: str) -> None:
    responses = [response for operation in OPERATIONS.values() for response in operation["responses"].values()]
    assert any(re.search(rf"`{code}`[^:]*: ?\S", response["description"]) for response in responses)
    page = (DOCS / "reference/error-codes.md").read_text().splitlines()
    rows = [line for line in page if line.startswith("|") and f"`{code}`" in line]
    assert rows, "add the code to the table in docs/reference/error-codes.md"


@pytest.mark.parametrize("code", sorted({row[1] for row in alpaca.TABLE.values()}))
def test_each_code_of_the_alpaca_api_is_documented(code: int) -> None:
    responses = [response for operation in OPERATIONS.values() for response in operation["responses"].values()]
    assert any(re.search(rf"{code}`?: \S", response["description"]) for response in responses)
    assert str(code) in (DOCS / "reference/alpaca.md").read_text()


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_response_documents_its_rate_limit_headers(name: str) -> None:
    for status, response in OPERATIONS[name]["responses"].items():
        headers = {header for header in response.get("headers", {}) if header.startswith("X-RateLimit-")}
        assert len(headers) == (0 if status == "503" else 3), status


def test_an_operation_lists_only_the_refusals_that_it_can_give() -> None:
    def codes(name: str) -> set[str]:
        responses = OPERATIONS[name]["responses"]
        text = " ".join(response["description"] for status, response in responses.items() if status >= "4")
        return set(re.findall(r"`([a-z_]+)`", text))

    assert "insufficient_funds" not in codes("placeTrade"), "that is a trade's reason code, not a refusal"
    assert {"unknown_ticker", "idempotency_key_reused", "overloaded"} <= codes("placeTrade")
    assert codes("getBalance") == {
        "address_not_allowed", "authentication_failed", "bad_request", "errors", "invalid", "not_authenticated",
        "parse_error", "permission_denied", "throttled", "unavailable",
    }  # fmt: skip
    assert "404" not in OPERATIONS["getBalance"]["responses"]
    assert "415" not in OPERATIONS["cancelTrade"]["responses"]


def test_each_exception_belongs_to_an_operation() -> None:
    anywhere = {SuspiciousOperation, RequestDataTooBig, OperationalError, InterfaceError, InternalError, TimeoutError}
    of_operations = {kind for kinds in refusals.OF_OPERATIONS.values() for kind in kinds}
    assert (set(errors.TABLE) | set(alpaca.TABLE)) - anywhere - {*refusals.ON_PAGES} == of_operations


def test_the_body_of_a_webhook_is_documented() -> None:
    post = OPERATIONS["createWebhook"]["callbacks"]["event"]["{$request.body#/url}"]["post"]
    assert {header["name"] for header in post["parameters"]} == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    content = post["requestBody"]["content"]["application/json"]
    schema = {"components": COMPONENTS, **as_json_schema(content["schema"])}
    posted = {name: example["value"] for name, example in content["examples"].items()}
    assert set(posted) == {"event", "test"}
    assert all(Draft202012Validator(schema).is_valid(body) for body in posted.values())
    assert not Draft202012Validator(schema).is_valid(posted["test"] | {"type": "trade.gone"})
    assert SCHEMA["servers"]
    assert set(SCHEMA["components"]["schemas"]["ReasonCode"]["enum"]) == set(Reason.values)
