"""How the back office writes times, money and states."""

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
    """A time in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(" ", "milliseconds")[:-6] if moment else ""


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
