"""What the OpenAPI schema says of every operation: how it is refused, within which limits, and examples."""

from typing import Any

from alpaca_api import drf as alpaca
from alpaca_api import examples as alpaca_examples
from brokerage import examples
from brokerage.errors import TABLE

# What may go wrong anywhere, besides what a view says of itself. Statuses in order of precedence.
ANYWHERE = {
    "400": "`invalid` (see `errors`), `parse_error`, `bad_request`: what was sent makes no sense.",
    "401": "`not_authenticated`, `authentication_failed`, `wrong_credentials`: nobody is known by these.",
    "403": "`permission_denied`: the token lacks the scope. `second_factor_required`: a password alone makes no token.",
    "404": "`not_found`: there is no such thing, or it is not yours.",
    "405": "`method_not_allowed`: not with this method.",
    "406": "`not_acceptable`: answers are JSON.",
    "409": "",
    "413": "`too_large`: a body has 1 MB at most.",
    "415": "`unsupported_media_type`: bodies are application/json.",
    "422": "",
    "429": "`throttled`: too many requests of this token, or of this address without one; `Retry-After` says when to "
    "come again. Nothing was done.",
    "503": "`unavailable`, `exchange_unavailable`: try again in a moment, with the same key.",
}
ALPACA_ANYWHERE = {
    "400": "40010000: the body is not JSON.",
    "401": "40110000: request is not authorized.",
    "403": "40310000: not allowed; `message` says why.",
    "404": "40410000: there is no such thing, or it is not yours.",
    "405": "40510000: no such method.",
    "406": "40610000: answers are JSON.",
    "413": "41310000: a body has 1 MB at most.",
    "415": "41510000: bodies are application/json.",
    "422": "40010001: what was asked for makes no sense or is not supported; 42210000: it can't be done any more.",
    "429": "42910000: too many requests; nothing was done.",
    "503": "50310000: try again in a moment.",
}
REQUESTS = examples.REQUESTS | alpaca_examples.REQUESTS
ANSWERS = examples.ANSWERS | alpaca_examples.ANSWERS
LIMITS = {
    "X-RateLimit-Limit": "Requests that this token may make in a minute; reads and orders have their own. Without a "
    "known token: that this address may make.",
    "X-RateLimit-Remaining": "Requests that are left of these.",
    "X-RateLimit-Reset": "When all of them are there again, in seconds since 1970.",
}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOK."""
    schemas = result["components"]["schemas"]
    schemas["Problem"] = PROBLEM
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
            _refusals(operation, is_alpaca)
            for status, response in operation["responses"].items():
                if status != "503":
                    response["headers"] = {
                        name: {"schema": {"type": "integer"}, "description": text} for name, text in LIMITS.items()
                    }
    # The stream of events is served elsewhere; here is where it is.
    return result


def _refusals(operation: dict[str, Any], is_alpaca: bool) -> None:
    known = dict(ALPACA_ANYWHERE if is_alpaca else ANYWHERE)
    table = alpaca.TABLE if is_alpaca else TABLE
    for row in table.values():
        status, code, text = str(row[0]), row[1], row[2]
        line = f"`{code}`: {text}"
        if line not in known.get(status, ""):
            known[status] = f"{known.get(status, '')}\n* {line}".strip()
    kind = "application/json" if is_alpaca else "application/problem+json"
    name = "AlpacaProblem" if is_alpaca else "Problem"
    for status, text in known.items():
        response = operation["responses"].setdefault(status, {"description": text})
        response["description"] = text
        response["content"] = {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


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


PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "example": examples.PROBLEM,
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people."},
        "code": {"type": "string", "description": "For programs: one of those that the operation lists."},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field.",
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
