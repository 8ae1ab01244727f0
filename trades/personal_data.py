"""The trading part of a customer's personal data, for export and erasure."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from trades.models import Entitlement, StatusChange, Trade


def sections(customer_id: int) -> Mapping[str, QuerySet[Any, Any]]:
    """Return a customer's trades, their history, and entitlements from corporate actions."""
    return {
        "trades": Trade.objects.filter(customer_id=customer_id)
        .order_by("sequence")
        .values(
            *("id", "sequence", "ticker", "type", "quantity", "placed_at", "status", "reason_code", "price", "amount"),
            *("fees", "executed_at", "settles_on", "settled_at", "when_closed", "lot_method", "idempotency_key"),
        ),
        "statusChanges": StatusChange.objects.filter(customer_id=customer_id)
        .order_by("xact", "id")
        .values("trade_id", "at", "from_status", "to_status", "reason", "by"),
        "corporateActions": Entitlement.objects.filter(customer_id=customer_id)
        .order_by("at", "id")
        .values("id", "at", "action__kind", "action__ticker", "action__new_ticker", "shares", "shares_after", "cash"),
    }


def erase(customer_id: int) -> None:
    """Erase nothing, because trades are part of the books."""
