"""JSON and signatures: the spelling of `messages` on the wire."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.conf import settings
from standardwebhooks import Webhook

from exchange.messages import Malformed, Order

NESTING_MAX = 100  # what is nested deeper could be read here, and be too much for who handles it later


class Unsigned(Exception):
    """Not signed with our secret, or signed more than five minutes away from now."""


def decode(raw: bytes) -> Any:
    """The JSON value in `raw`, numbers with a point as they were written. Raises Malformed (NaN and infinities too)."""
    try:
        value = json.loads(raw, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    level = [value]
    for _ in range(NESTING_MAX):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        if not level:
            return value
    raise Malformed(f"nested deeper than {NESTING_MAX}")


def _inside(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def encode_orders(orders: list[Order], callback_url: str) -> bytes:
    """The body of Execute. The same orders give the same bytes."""
    return json.dumps(
        {
            "callbackUrl": callback_url,
            "trades": [
                {
                    "tradeId": str(order.trade_id),
                    "stockTicker": order.ticker,
                    "type": order.type,
                    "quantity": order.quantity,
                    "maxPrice": None if order.max_price is None else f"{order.max_price:.4f}",
                    "expiresAt": order.expires_at.isoformat().replace("+00:00", "Z"),
                }
                for order in orders
            ],
        }
    ).encode()


def verified(raw: bytes, headers: Any) -> Any:
    """The JSON value of a signed callback (Standard Webhooks: HMAC-SHA256 over id, time and body; valid five minutes).

    Raises Unsigned, whatever is wrong with the signature; Malformed.
    """
    signature = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    for webhook in _webhooks(settings.EXCHANGE_SECRET):
        try:
            webhook.verify(raw, signature)
        except Exception:  # noqa: BLE001,S112 — on malformed headers the library raises what it pleases, never only its own error
            continue
        return decode(raw)
    raise Unsigned


@cache
def _webhooks(secrets: str) -> list[Webhook]:
    return [Webhook(secret) for secret in secrets.split()]
