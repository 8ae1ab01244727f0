"""Columns shared by several lists."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from accounts.models import Customer
from office.templatetags.office import when

T = TypeVar("T")


def column(
    title: str, *, label: dict[Any, str] | None = None, boolean: bool = False
) -> Callable[[Callable[[Any, Any], T]], Callable[[Any, Any], T]]:
    """Mark a method as a column. `label` maps its values to the color of a badge."""
    marked: Callable[[Callable[[Any, Any], T]], Callable[[Any, Any], T]] = display(
        description=title, label=label, boolean=boolean or None
    )
    return marked


def moment(field: str, title: str) -> Callable[[Any], str]:
    """Return a column with a time."""

    def time_of(row: Any) -> str:
        return when(getattr(row, field))

    time_of.short_description = f"{title} (UTC)"  # type: ignore[attr-defined]
    time_of.__name__ = field
    return time_of


def customer_link(customer: Customer | None) -> str:
    """Return a link to a customer's page."""
    if customer is None:
        return ""
    return format_html('<a href="{}">{}</a>', reverse("admin:accounts_customer_change", args=[customer.pk]), customer)


def trade_link(trade_id: UUID | None, text: str = "") -> str:
    """Return a link to a trade's page."""
    if trade_id is None:
        return ""
    address = reverse("admin:trades_trade_change", args=[trade_id])
    return format_html('<a href="{}">{}</a>', address, text or f"…{str(trade_id)[-12:]}")
