"""Template filters of the back office: times, money and states."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import CASH
from office.models import AuditEntry
from office.sentences import sentence_of
from office.tables.columns import when
from trades.explanation import age_in_words

register = template.Library()


def money(amount: Decimal) -> str:
    """Return an amount of dollars with cents, or with four digits if it has more than cents."""
    return f"{amount:,.2f}" if amount == round(amount, 2) else f"{amount:,.4f}"


@register.filter
def sentence(entry: AuditEntry) -> str:
    """Return an audit entry as a sentence."""
    return sentence_of(entry)


@register.filter
def precise(moment: datetime | None) -> str:
    """Return a time in UTC, to the millisecond, with the reader's local time beside it."""
    return when(moment, "milliseconds")


@register.filter
def minute(moment: datetime) -> str:
    """Return the hour and minute of a time in UTC, whatever the reader's time zone."""
    return f"{moment.astimezone(UTC):%H:%M}"


@register.filter
def since(moment: datetime) -> str:
    """Return how long ago this was, in words."""
    return age_in_words(timezone.now() - moment)


@register.filter
def usd(amount: Decimal | None) -> str:
    """Return an amount in dollars: with cents, and with four digits only if it has more than cents."""
    return "" if amount is None else money(amount)


@register.filter
def dollars(amount: Decimal | None) -> str:
    """Return an amount with its dollar sign; a dash where it isn't known."""
    return "–" if amount is None else f"${money(amount)}"


@register.filter
def moved(amount: Decimal, ticker: str) -> str:
    """Return what a posting moved or left: dollars, or whole shares."""
    return money(amount) if ticker == CASH else f"{int(amount):,}"


@register.filter
def limit(value: Decimal | None) -> str:
    """Return a limit without trailing zeros: 500, 2,500.5."""
    return "" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")


@register.filter
def spaced(name: str) -> str:
    """Return a name of the audit log in words: withdrawalsFrozen is Withdrawals frozen."""
    return re.sub(r"([A-Z])", lambda found: f" {found[1].lower()}", name).capitalize()


@register.filter
def plain(value: Any) -> Any:
    """Return a value of the audit log as a person would say it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return ", ".join(f"{key}: {value[key]}" if isinstance(value, dict) else str(key) for key in value) or "none"
    return "–" if value is None else value


@register.filter
def state(status: str) -> str:
    """Return a status as a badge."""
    return format_html('<span class="office-state {}">{}</span>', status.lower().replace(" ", "-"), status)


@register.filter
def unlocalize(number: float) -> str:
    """Return a number as SVG takes it."""
    return f"{number:.2f}"


@register.filter
def calls(figures: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the figures of each verb of the exchange that was called, by its name."""
    return [(name, figures[key]) for key, name in (("execute", "Execute"), ("ask", "TradeExists")) if key in figures]
