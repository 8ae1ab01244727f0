"""Complete the OpenAPI schema: for every operation, add its refusals, its rate limits, and examples."""

from typing import Any

from alpaca_api import drf as alpaca
from alpaca_api import examples as alpaca_examples
from brokerage import examples, refusals
from brokerage.errors import TABLE

# What the framework refuses, by status. Some apply only to operations with a body, or to URLs of a single object.
OWN = {
    "400": "`invalid` (see `errors`), `parse_error`, `bad_request`: what was sent makes no sense.",
    "401": "`not_authenticated`, `authentication_failed`: the token is missing or unknown.",
    "403": "`permission_denied`: the token lacks the scope. `address_not_allowed`: it can't be used from your address.",
    "404": "`not_found`: it does not exist, or it is not yours.",
    "413": "`too_large`: a body may have at most 100 kB.",
    "415": "`unsupported_media_type`: bodies must be application/json.",
    "429": "`throttled`: too many requests by this customer or, without a token, from this address. Nothing was done. "
    "`Retry-After` says when to try again.",
    "503": "`unavailable`: try again in a moment, with the same key.",
}
OF_OPERATIONS = {
    ("createToken", "401"): "`wrong_credentials`: email and password do not match.",
    ("createToken", "403"): "`second_factor_required`: a password alone is not enough for this account.",
    ("getQuote", "503"): "`exchange_unavailable`: the exchange is not responding; try again in a moment.",
    ("getMarket", "503"): "`exchange_unavailable`: the exchange is not responding; try again in a moment.",
}
ALPACA = {
    "400": "40010000: the body is not JSON.",
    "401": "40110000: request is not authorized.",
    "403": "40310000: not allowed; `message` says why.",
    "404": "40410000: it does not exist, or it is not yours.",
    "413": "41310000: a body may have at most 100 kB.",
    "415": "41510000: bodies must be application/json.",
    "422": "40010001: the request is invalid or not supported; 42210000: it can't be done anymore.",
    "429": "42910000: too many requests; nothing was done.",
    "503": "50310000: try again in a moment.",
}
FOR_REQUEST_BODY, OF_ONE_OBJECT = {"413", "415"}, {"404"}
REQUESTS = examples.REQUESTS | alpaca_examples.REQUESTS
ANSWERS = examples.ANSWERS | alpaca_examples.ANSWERS
LIMITS = {
    "X-RateLimit-Limit": "Requests per minute that this customer may make, or this address if the token is unknown. "
    "Reads and orders have separate limits.",
    "X-RateLimit-Remaining": "Requests that remain of the limit.",
    "X-RateLimit-Reset": "When the full limit is available again, in seconds since 1970.",
}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOK."""
    schemas = result["components"]["schemas"]
    schemas["Problem"] = PROBLEM
    schemas["TestEvent"] = TEST_EVENT
    schemas["AlpacaProblem"] = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
        "example": {"code": 42210000, "message": "order is not cancelable"},
    }
    for path, item in result["paths"].items():
        is_alpaca = path.startswith("/alpaca/")
        for operation in item.values():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            if is_alpaca:
                operation["tags"] = ["alpaca"]
            _examples(operation)
            _refusals(path, operation, is_alpaca)
            if operation["operationId"] == "createWebhook":
                _describe_webhook(operation)
            for status, response in operation["responses"].items():
                if status != "503":
                    response["headers"] = {
                        name: {"schema": {"type": "integer"}, "description": text} for name, text in LIMITS.items()
                    }
    return result


def _refusals(path: str, operation: dict[str, Any], is_alpaca: bool) -> None:
    """Add the ways in which the operation can be refused, and no others."""
    name = operation["operationId"]
    has_body, has_input = "requestBody" in operation, "requestBody" in operation or "parameters" in operation
    names_one = (
        "{" in path
        or ":" in path
        or any(parameter["name"].endswith("_id") for parameter in operation.get("parameters", ()))
    )
    responses = dict(ALPACA if is_alpaca else OWN)
    if not has_body:
        responses = {status: text for status, text in responses.items() if status not in FOR_REQUEST_BODY}
    if not names_one:
        responses = {status: text for status, text in responses.items() if status not in OF_ONE_OBJECT}
    if not has_input:
        responses.pop("422", None)
    table = alpaca.TABLE if is_alpaca else TABLE
    for status in responses.keys() | {"401", "403", "503"}:
        if line := OF_OPERATIONS.get((name, status)):
            responses[status] = f"{responses.get(status, '')}\n* {line}".strip()
    for refusal in refusals.OF_OPERATIONS.get(name, ()):
        status, code, text = str(table[refusal][0]), table[refusal][1], table[refusal][2]
        responses[status] = f"{responses.get(status, '')}\n* `{code}`: {text}".strip()
    kind = "application/json" if is_alpaca else "application/problem+json"
    component = "AlpacaProblem" if is_alpaca else "Problem"
    for status, text in sorted(responses.items()):
        response = operation["responses"].setdefault(status, {"description": text})
        response["description"] = text
        response["content"] = {kind: {"schema": {"$ref": f"#/components/schemas/{component}"}}}


def _describe_webhook(operation: dict[str, Any]) -> None:
    """Add what a webhook posts, and how it must be answered."""
    names = {
        "webhook-id": "The event's id.",
        "webhook-timestamp": "Seconds since 1970.",
        "webhook-signature": "As Standard Webhooks specifies; two while one secret replaces another.",
    }
    headers = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in names.items()
    ]
    kinds = [{"$ref": "#/components/schemas/Event"}, {"$ref": "#/components/schemas/TestEvent"}]
    event = {
        "schema": {"oneOf": kinds},
        "examples": {"event": {"value": examples.EVENT}, "test": {"value": examples.TEST_EVENT}},
    }
    operation["callbacks"] = {
        "event": {
            "{$request.body#/url}": {
                "post": {
                    "operationId": "receiveEvent",
                    "description": "An event. It is posted again until you answer with 2xx.",
                    "parameters": headers,
                    "requestBody": {"required": True, "content": {"application/json": event}},
                    "responses": {"2XX": {"description": "Received."}, "410": {"description": "Ends the webhook."}},
                }
            }
        }
    }


def _examples(operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    if name in REQUESTS:
        for content in operation["requestBody"]["content"].values():
            content["example"] = REQUESTS[name]
    for status, response in operation["responses"].items():
        if not status.startswith("2"):
            continue
        for kind, content in response.get("content", {}).items():
            answer = ANSWERS.get((name, kind), ANSWERS.get((name, status), ANSWERS.get(name)))
            if answer is not None:
                content["example"] = answer


TEST_EVENT = {
    "type": "object",
    "description": "What `testWebhook` posts: an event without a trade.",
    "required": ["eventId", "type", "at", "trade", "corporateAction"],
    "properties": {
        "eventId": {"type": "string", "description": "`test-` and a UUID."},
        "type": {"type": "string", "enum": ["webhook.test"]},
        "at": {"type": "string", "format": "date-time"},
        "trade": {"type": "object", "nullable": True, "description": "Always null."},
        "corporateAction": {"type": "object", "nullable": True, "description": "Always null."},
    },
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "example": examples.PROBLEM,
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "The page that explains the code."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people."},
        "code": {"type": "string", "description": "For programs: one of those that the operation lists."},
        "errors": {
            "type": "array",
            "description": "The fields that are wrong, and why.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
