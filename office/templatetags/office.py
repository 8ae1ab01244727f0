"""How the back office writes times, money and states."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import CASH
from office.why import words

register = template.Library()


@register.filter
def precise(moment: datetime | None) -> str:
    """A time in UTC, to the millisecond, on one line."""
    if moment is None:
        return ""
    return format_html(
        '<span class="office-when">{}</span>', moment.astimezone(UTC).isoformat(" ", "milliseconds")[:-6]
    )


@register.filter
def minute(moment: datetime) -> str:
    """The hour and minute of a time, in UTC whatever the reader's zone."""
    return f"{moment.astimezone(UTC):%H:%M}"


@register.filter
def since(moment: datetime) -> str:
    """How long ago, in words."""
    return words(timezone.now() - moment)


@register.filter
def usd(amount: Decimal | None) -> str:
    """An amount with all its four digits, and commas."""
    return "" if amount is None else f"{amount:,.4f}"


@register.filter
def moved(amount: Decimal, ticker: str) -> str:
    """What a posting moved or left: USD, or whole shares."""
    return f"{amount:,.4f}" if ticker == CASH else f"{int(amount):,}"


@register.filter
def limit(value: Decimal | None) -> str:
    """A limit without the zeros that say nothing: 500, 2,500.5."""
    return "" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")


@register.filter
def spaced(name: str) -> str:
    """A name of the audit log in words: withdrawalsFrozen is Withdrawals frozen."""
    return re.sub(r"([A-Z])", lambda found: f" {found[1].lower()}", name).capitalize()


@register.filter
def as_said(value: Any) -> Any:
    """A value of the audit log as a person says it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return ", ".join(f"{key}: {value[key]}" if isinstance(value, dict) else str(key) for key in value) or "none"
    return "–" if value is None else value


@register.filter
def state(status: str) -> str:
    """A status as a badge."""
    return format_html('<span class="office-state {}">{}</span>', status.lower().replace(" ", "-"), status)


@register.filter
def unlocalize(number: float) -> str:
    """A number as SVG takes it."""
    return f"{number:.2f}"


@register.filter
def calls(figures: dict[str, Any]) -> list[tuple[str, Any]]:
    """The verbs that were called, by name."""
    return [(name, figures[key]) for key, name in (("execute", "Execute"), ("ask", "TradeExists")) if key in figures]
