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
from trades.audit import rule_text
from trades.explanation import age_in_words

register = template.Library()
AMOUNT = re.compile(r"-?\d{1,15}\.\d{4}", re.ASCII)  # as the audit log stores amounts


def money(amount: Decimal) -> str:
    """Format an amount in USD with cents, or with four decimals if it isn't in whole cents."""
    return f"{amount:,.2f}" if amount == round(amount, 2) else f"{amount:,.4f}"


def when(moment: datetime | None, precision: str = "seconds") -> str:
    """Format a time in UTC, with the reader's local time next to it."""
    if moment is None:
        return ""
    utc, local = moment.astimezone(UTC), timezone.localtime(moment)
    text = utc.replace(tzinfo=None).isoformat(" ", precision)
    if local.utcoffset() == utc.utcoffset():
        return format_html('<span class="office-when">{}</span>', text)
    here = f"{local:%H:%M %Z}" if local.date() == utc.date() else f"{local:%b %-d %H:%M %Z}"
    return format_html('<span class="office-when">{} <small>{}</small></span>', text, here)


@register.filter
def sentence(entry: AuditEntry) -> str:
    """Return an audit entry as a sentence."""
    return sentence_of(entry)


@register.filter
def precise(moment: datetime | None) -> str:
    """Format a time in UTC, to the millisecond, with the reader's local time next to it."""
    return when(moment, "milliseconds")


@register.filter
def minute(moment: datetime) -> str:
    """Format the hour and minute of a time in UTC, whatever the reader's time zone."""
    return f"{moment.astimezone(UTC):%H:%M}"


@register.filter
def since(moment: datetime) -> str:
    """Format how long ago something was, in words."""
    return age_in_words(timezone.now() - moment)


@register.filter
def usd(amount: Decimal | None) -> str:
    """Format an amount in USD without a dollar sign; empty if it is None."""
    return "" if amount is None else money(amount)


@register.filter
def dollars(amount: Decimal | None) -> str:
    """Format an amount with a dollar sign; a dash if it is None."""
    return "–" if amount is None else f"${money(amount)}"


@register.filter
def moved(amount: Decimal, ticker: str) -> str:
    """Format the change or total of a posting: USD, or whole shares."""
    return money(amount) if ticker == CASH else f"{int(amount):,}"


@register.filter
def limit(value: Decimal | None) -> str:
    """Format a limit without trailing zeros: 500, 2,500.5."""
    return "" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")


@register.filter
def rate(value: Decimal) -> str:
    """Format the rate of a fee without trailing zeros: 0.0000206; a dash if it is zero."""
    return f"{value:f}".rstrip("0").rstrip(".") if value else "–"


@register.filter
def spaced(name: str) -> str:
    """Format a name from the audit log in words: Withdrawals frozen for withdrawalsFrozen."""
    return re.sub(r"([A-Z])", lambda found: f" {found[1].lower()}", name).capitalize()


@register.filter
def plain(value: Any) -> Any:
    """Format a value from the audit log for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {plain(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(str(plain(item)) for item in value) or "none"
    if isinstance(value, str) and AMOUNT.fullmatch(value):
        return money(Decimal(value))
    return "–" if value is None else value


@register.filter
def rule(name: str) -> str:
    """Format a broken rule of the books in words."""
    return rule_text(name)


@register.filter
def state(status: str) -> str:
    """Format a status as a badge."""
    return format_html('<span class="office-state {}">{}</span>', status.lower().replace(" ", "-"), status)


@register.filter
def unlocalize(number: float) -> str:
    """Format a number for SVG, independent of the locale."""
    return f"{number:.2f}"


@register.filter
def calls(figures: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the figures of each kind of call to the exchange, with its name."""
    return [(name, figures[key]) for key, name in (("execute", "Execute"), ("ask", "TradeExists")) if key in figures]
