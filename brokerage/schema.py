"""What the OpenAPI schema says of every operation: how it is refused, within which limits, and examples."""

from typing import Any

from alpaca_api import rest as alpaca
from brokerage.errors import TABLE

# What may go wrong anywhere, besides what a view says of itself. Statuses in order of precedence.
ANYWHERE = {
    "400": "`invalid` (see `errors`), `parse_error`, `bad_request`: what was sent makes no sense.",
    "401": "`not_authenticated`, `authentication_failed`, `wrong_credentials`: nobody is known by these.",
    "403": "`permission_denied`: the token lacks the scope.",
    "404": "`not_found`: there is no such thing, or it is not yours.",
    "405": "`method_not_allowed`.",
    "406": "`not_acceptable`: answers are JSON.",
    "409": "",
    "413": "`too_large`: a body has 1 MB at most.",
    "415": "`unsupported_media_type`: bodies are application/json.",
    "422": "",
    "429": "`throttled`: too many requests of this token; `Retry-After` says when to come again. Nothing was done.",
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
LIMITS = {
    "X-RateLimit-Limit": "Requests that this token may make in a minute; reads and orders have their own. Without a "
    "known token: that this address may make.",
    "X-RateLimit-Remaining": "Requests that are left of these.",
    "X-RateLimit-Reset": "When all of them are there again, in seconds since 1970.",
}
TRADE = {
    "tradeId": "019aae8e-3c5e-7cc2-8a4e-6f1f3f0a2b11",
    "stockTicker": "AAPL",
    "type": "BUY",
    "quantity": 3,
    "createdAt": "2026-11-22T23:35:50.417446Z",
    "status": "PLACED",
    "reason": None,
    "reasonCode": None,
    "price": None,
    "amount": None,
    "settledAt": None,
}
FILLED = TRADE | {
    "status": "FILLED",
    "price": "187.4500",
    "amount": "562.3500",
    "settledAt": "2026-11-22T23:35:50.612031Z",
}
REQUESTS: dict[str, Any] = {
    "placeTrade": {"stockTicker": "AAPL", "type": "BUY", "quantity": 3},
    "deposit": {"amount": "100.00"},
    "withdraw": {"amount": "100.00"},
    "createToken": {
        "email": "alice@example.com",
        "password": "correct horse battery",
        "name": "my program",
        "scopes": ["read", "trade"],
        "expiresAt": "2027-01-01T00:00:00Z",
    },
    "createWebhook": {"url": "https://example.com/brokerage"},
    "alpacaSubmitOrder": {
        "symbol": "AAPL",
        "qty": "3",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        "client_order_id": "my-first",
    },
    "alpacaSetConfigurations": {"suspend_trade": True},
    "alpacaCreateWatchlist": {"name": "tech", "symbols": ["AAPL", "MSFT"]},
    "alpacaUpdateWatchlist": {"name": "big tech"},
    "alpacaAddToWatchlist": {"symbol": "IBM"},
}
ANSWERS: dict[str, Any] = {
    "placeTrade": TRADE,
    "getTrade": FILLED,
    "cancelTrade": TRADE
    | {
        "status": "REJECTED",
        "reason": "The customer cancelled the trade before it was sent.",
        "reasonCode": "cancelled",
        "settledAt": "2026-11-22T23:35:50.612031Z",
    },
    "listTrades": {"results": [FILLED], "next": None},
    "getBalance": {
        "amount": "25000.0000",
        "held": "0.0000",
        "available": "25000.0000",
        "lastModified": "2026-11-22T23:35:50.417446Z",
    },
}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOK."""
    schemas = result["components"]["schemas"]
    schemas["Problem"] = PROBLEM
    schemas["AlpacaProblem"] = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
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
    if name in ANSWERS:
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                for content in response.get("content", {}).values():
                    content["example"] = ANSWERS[name]


PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail", "code", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people."},
        "code": {"type": "string", "description": "For programs."},
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
