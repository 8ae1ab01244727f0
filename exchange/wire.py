"""JSON and signatures: the spelling of `messages` on the wire."""

import json
from typing import Any

from django.conf import settings
from django.utils.functional import SimpleLazyObject
from standardwebhooks import Webhook

from exchange.messages import Malformed, Order


class Unsigned(Exception):
    """Not signed with our secret, or signed more than five minutes away from now."""


def decode(raw: bytes) -> Any:
    """The JSON value in `raw`, numbers with a point as they were written. Raises Malformed (NaN and infinities too)."""
    try:
        return json.loads(raw, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None


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
    for webhook in _webhooks:
        try:
            webhook.verify(raw, signature)
        except Exception:  # noqa: BLE001,S112 — on malformed headers the library raises what it pleases, never only its own error
            continue
        return decode(raw)
    raise Unsigned


_webhooks: Any = SimpleLazyObject(lambda: [Webhook(secret) for secret in settings.EXCHANGE_SECRET.split()])
