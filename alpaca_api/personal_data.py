"""The personal data of the Alpaca-compatible API: export and erase it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from alpaca_api.models import Configuration


def sections(customer_id: int) -> Mapping[str, QuerySet[Any, Any]]:
    """Return a customer's account configuration."""
    return {"alpacaConfiguration": Configuration.objects.filter(customer_id=customer_id).order_by("pk").values()}


def erase(customer_id: int) -> None:
    """Delete the configuration. Needs a transaction."""
    Configuration.objects.filter(customer_id=customer_id).delete()
