"""Encode and decode messages: JSON and signatures."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.conf import settings
from standardwebhooks import Webhook

from exchange.messages import Malformed, Order

SIGNATURE_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
NESTING_MAX = 100  # deeper JSON could be decoded here, but might exceed the recursion limit in later code


class Unsigned(Exception):
    """The callback is not signed with our secret, or its timestamp is more than five minutes off."""


def decode(raw: bytes) -> Any:
    """Decode JSON. Numbers with a decimal point are returned as strings, exactly as written.

    Raises:
        Malformed: It is not JSON, contains NaN or infinity, or is nested too deeply.
    """
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
    """Return the body of an Execute request. The same orders result in the same bytes."""
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


def verify_callback(raw: bytes, signature: dict[str, str]) -> Any:
    """Verify the signature of a callback and return its decoded body.

    Args:
        raw: The body.
        signature: The values of SIGNATURE_HEADERS.

    Raises:
        Unsigned: The signature is missing, wrong, or too old.
        Malformed: See `decode`.

    Source: Standard Webhooks: HMAC-SHA256 over id, time and body, valid for five minutes.
    """
    for webhook in _webhooks(settings.EXCHANGE_SECRET):
        try:
            webhook.verify(raw, signature)
        except Exception:  # noqa: BLE001,S112 — for malformed headers the library also raises errors of other types
            continue
        return decode(raw)
    raise Unsigned


@cache
def _webhooks(secrets: str) -> list[Webhook]:
    return [Webhook(secret) for secret in secrets.split()]
