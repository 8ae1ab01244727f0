"""Template filters for money, shares, changes and times."""

import time
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from web.timezones import EASTERN

register = template.Library()
CENT, CENT_OF_A_CENT = Decimal("0.01"), Decimal("0.0001")
MINUS = "−"


@register.filter
def usd(amount: Decimal | str | None) -> str:
    """Format USD: $1,234.50 or −$1,234.50, with four decimals if the amount isn't in whole cents."""
    if amount is None or amount == "":  # a missing template variable
        return "—"
    amount = Decimal(amount)
    whole_cents = amount == amount.quantize(CENT)
    text = f"${abs(amount).quantize(CENT if whole_cents else CENT_OF_A_CENT):,}"
    return f"{MINUS}{text}" if amount < 0 else text


@register.filter
def cents(amount: Decimal | str | None) -> str:
    """Format USD, rounded to the cent. For prices, which may have more decimals, use `usd`."""
    if amount is None or amount == "":  # a missing template variable
        return "—"
    return usd(Decimal(amount).quantize(CENT, ROUND_HALF_EVEN))


@register.filter
def signed(amount: Decimal | None) -> str:
    """Format USD with its sign: +$1.50, −$1.50, $0.00."""
    if amount is None:
        return "—"
    return f"+{usd(amount)}" if amount > 0 else usd(amount)


@register.filter
def signed_cents(amount: Decimal | None) -> str:
    """Format USD with its sign, rounded to the cent."""
    return "—" if amount is None else signed(Decimal(amount).quantize(CENT, ROUND_HALF_EVEN))


@register.filter
def unsigned(quantity: Decimal) -> str:
    """Format a quantity without its sign: 1,200 for −1200.0000."""
    return f"{abs(int(quantity)):,}"


@register.filter
def signed_shares(quantity: Decimal) -> str:
    """Format shares with their sign: +3 shares, −3 shares."""
    return f"{'+' if quantity > 0 else MINUS}{shares(abs(quantity))}"


@register.filter
def percent(ratio: Decimal | None) -> str:
    """Format a ratio as a percentage: +1.60% for 0.016."""
    if ratio is None:
        return "—"
    value = (Decimal(ratio) * 100).quantize(CENT, ROUND_HALF_EVEN)
    return f"{'+' if value > 0 else MINUS if value < 0 else ''}{abs(value):,}%"


@register.filter
def count(number: int | None) -> str:
    """Format a count: 1,234,567."""
    return "—" if number is None else f"{number:,}"


@register.filter
def unsigned_percent(ratio: Decimal | None) -> str:
    """Format a share of a total as a percentage without a sign: 12.5% for 0.125."""
    return "—" if ratio is None else f"{(Decimal(ratio) * 100).quantize(Decimal('0.1'), ROUND_HALF_EVEN)}%"


@register.filter
def scaled(value: Decimal, unit: str) -> str:
    """Format a label of a chart's axis: USD, or a percentage if the unit is `percent`."""
    return percent(value) if unit == "percent" else cents(value)


@register.filter
def descending(column: str) -> str:
    """Return the value of `sort` for a column in descending order."""
    return f"-{column}"


@register.filter
def clock_time(epoch_seconds: float) -> SafeString | str:
    """Show the time of day, given in seconds since the epoch."""
    return moment(datetime.fromtimestamp(epoch_seconds, UTC), "time")


@register.filter
def ago(epoch_seconds: float) -> str:
    """Format how long ago something was: 20 seconds ago, 3 minutes ago."""
    seconds = max(0, int(time.time() - epoch_seconds))
    for size, name in ((3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{seconds // size} {name}{'s' if seconds >= 2 * size else ''} ago"
    return f"{seconds} seconds ago"


@register.filter
def shares(quantity: int | Decimal) -> str:
    """Format shares: 1 share, 1,200 shares."""
    return f"{int(quantity):,} share{'' if abs(int(quantity)) == 1 else 's'}"


@register.filter
def sign(value: Decimal | None) -> str:
    """Return the CSS class of a change: gain, loss or flat. Show the sign as well: color alone isn't enough."""
    if value is None or value == 0:
        return "flat"
    return "gain" if value > 0 else "loss"


@register.filter
def incoming(change: Decimal | None) -> str:
    """Return the CSS class of a cash movement: `gain` for money in. Money out gets none: it is no loss."""
    return "gain" if change and change > 0 else ""


@register.filter
def moment(at: datetime | None, style: str = "") -> SafeString | str:
    """Show a time in the customer's time zone, as an element whose title is the exact time.

    Args:
        style: `date`, `time`, `minute` for both without seconds, or empty for both.
    """
    if at is None:
        return ""
    local = timezone.localtime(at)
    texts = {"date": f"{local:%b} {local.day}, {local:%Y}", "time": f"{local:%I:%M:%S %p}".lstrip("0")}
    texts["minute"] = f"{texts['date']}, {f'{local:%I:%M %p}'.lstrip('0')}"
    text = texts.get(style) or f"{texts['date']}, {texts['time']}"
    title = f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, text)


@register.filter
def market_time(at: datetime) -> str:
    """Format a time on a statement or a confirmation, in Eastern time: Nov 6, 2026, 9:31:05 AM."""
    local = at.astimezone(EASTERN)
    return f"{day(local.date())}, {f'{local:%I:%M:%S %p}'.lstrip('0')}"


@register.filter
def day(at: date) -> str:
    """Format a date: Nov 6, 2026."""
    return f"{at:%b} {at.day}, {at.year}"


@register.filter
def eastern(at: datetime | None) -> str:
    """Format a market time: 4:00 PM ET, with the date if it isn't today."""
    if at is None:
        return ""
    local, today = at.astimezone(EASTERN), timezone.now().astimezone(EASTERN).date()
    time = f"{local:%I:%M %p} ET".lstrip("0")
    return time if local.date() == today else f"{local:%a}, {local:%b} {local.day}, {time}"


@register.filter
def eastern_day(at: datetime | None) -> str:
    """Format a market time with its weekday: Fri 9:30 AM ET."""
    if at is None:
        return ""
    local = at.astimezone(EASTERN)
    return f"{local:%a} {local:%I:%M %p}".replace(" 0", " ") + " ET"


@register.filter
def description(line: Any) -> str:
    """Describe a statement line in words: Bought 3 AAPL at $100.00."""
    return describe(line.kind, line.ticker, line.quantity, line.price)


def describe(kind: str, ticker: str, quantity: int, price: Decimal | None) -> str:
    """Describe a movement of cash or shares in words."""
    if kind in {"buy", "sell"}:
        return f"{'Bought' if kind == 'buy' else 'Sold'} {quantity:,} {ticker} at {usd(price)}"
    if kind == "split":
        return f"Split of {ticker}" if ticker else "Cash in lieu of a fraction of a share"
    if kind == "new_ticker":
        return f"Ticker change: {'+' if quantity > 0 else MINUS}{abs(quantity):,} {ticker}"
    if kind == "adjustment" and ticker:
        return f"Adjustment: {'+' if quantity > 0 else MINUS}{abs(quantity):,} {ticker}"
    labels = {
        "deposit": "Deposit from the stand-in bank",
        "withdrawal": "Withdrawal to the stand-in bank",
        "fee": "Regulatory fees",
    }
    return labels.get(kind, kind.capitalize())


BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "a Mac"))


@register.filter
def device(user_agent: str) -> str:
    """Name the browser and system of a User-Agent header: Firefox on Windows."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "A browser")
    system = next((name for mark, name in (*SYSTEMS, ("Linux", "Linux")) if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser


@register.simple_tag
def icon(name: str) -> SafeString:
    """Render an icon. It is only decoration: always put its meaning in text next to it."""
    address = f"{static('icons.svg')}#{name}"
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}"/></svg>', address)


@register.inclusion_tag("parts/field.html")
def field(bound: Any, hint: str = "", prefix: str = "", **attributes: str) -> dict[str, Any]:
    """Render a form field with its label, hint and errors, linked to it for screen readers."""
    described = []
    hint = hint or bound.help_text
    if hint:
        described.append(f"{bound.auto_id}_hint")
    if bound.errors:
        described.append(f"{bound.auto_id}_error")
        attributes["aria-invalid"] = "true"
    if described:
        attributes["aria-describedby"] = " ".join(described)
    widget = bound.as_widget(attrs={**attributes, "aria-describedby": " ".join(described)} if described else attributes)
    return {"bound": bound, "widget": widget, "hint": hint, "prefix": prefix}
