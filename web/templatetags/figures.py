"""How pages write money, shares, changes and times."""

from datetime import datetime
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
    """$1,234.50; four digits where there is less than a cent; a minus before the sign."""
    if amount is None or amount == "":  # a template's word for nothing
        return "—"
    amount = Decimal(amount)
    whole_cents = amount == amount.quantize(CENT)
    text = f"${abs(amount).quantize(CENT if whole_cents else CENT_OF_A_CENT):,}"
    return f"{MINUS}{text}" if amount < 0 else text


@register.filter
def cents(amount: Decimal | None) -> str:
    """The same, to the cent: for values that are not money that moved."""
    return "—" if amount is None else usd(Decimal(amount).quantize(CENT, ROUND_HALF_EVEN))


@register.filter
def signed(amount: Decimal | None) -> str:
    """+$1.50, −$1.50, $0.00."""
    if amount is None:
        return "—"
    return f"+{usd(amount)}" if amount > 0 else usd(amount)


@register.filter
def signed_cents(amount: Decimal | None) -> str:
    """The same, to the cent."""
    return "—" if amount is None else signed(Decimal(amount).quantize(CENT, ROUND_HALF_EVEN))


@register.filter
def negative(amount: Decimal) -> Decimal:
    """What went out."""
    return -amount


@register.filter
def whole(quantity: Decimal) -> str:
    """1,200 of −1200.0000."""
    return f"{abs(int(quantity)):,}"


@register.filter
def signed_shares(quantity: Decimal) -> str:
    """+3 shares, −3 shares."""
    return f"{'+' if quantity > 0 else MINUS}{shares(abs(quantity))}"


@register.filter
def percent(ratio: Decimal | None) -> str:
    """+1.60% of 0.016."""
    if ratio is None:
        return "—"
    value = (Decimal(ratio) * 100).quantize(CENT, ROUND_HALF_EVEN)
    return f"{'+' if value > 0 else MINUS if value < 0 else ''}{abs(value):,}%"


@register.filter
def shares(quantity: int | Decimal) -> str:
    """1 share, 1,200 shares."""
    return f"{int(quantity):,} share{'' if abs(int(quantity)) == 1 else 's'}"


@register.filter
def sign(value: Decimal | None) -> str:
    """gain, loss or flat: the class of a figure, which has its sign besides its colour."""
    if value is None or value == 0:
        return "flat"
    return "gain" if value > 0 else "loss"


@register.filter
def moment(at: datetime | None, style: str = "") -> SafeString | str:
    """A time in the customer's zone, as an element that says the exact time too. style: date, time, or both."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    texts = {"date": f"{local:%b} {local.day}, {local:%Y}", "time": f"{local:%I:%M:%S %p}".lstrip("0")}
    text = texts.get(style) or f"{texts['date']}, {texts['time']}"
    title = f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, text)


@register.filter
def market_time(at: datetime) -> str:
    """A time on a statement, Eastern."""
    return f"{at.astimezone(EASTERN):%b %d, %Y, %I:%M:%S %p}"


@register.filter
def eastern(at: datetime | None) -> str:
    """A market time: 4:00 PM ET, with the day where it is not today."""
    if at is None:
        return ""
    local, today = at.astimezone(EASTERN), timezone.now().astimezone(EASTERN).date()
    time = f"{local:%I:%M %p} ET".lstrip("0")
    return time if local.date() == today else f"{local:%a}, {local:%b} {local.day}, {time}"


@register.filter
def described(line: Any) -> str:
    """A line of a statement in words: Bought 3 AAPL at $100.00."""
    return describe(line.kind, line.ticker, line.quantity, line.price)


def describe(kind: str, ticker: str, quantity: int, price: Decimal | None) -> str:
    """A movement of cash, or of shares alone, in words."""
    if kind in {"buy", "sell"}:
        return f"{'Bought' if kind == 'buy' else 'Sold'} {quantity:,} {ticker} at {usd(price)}"
    if kind == "adjustment" and ticker:
        return f"Adjustment: {'+' if quantity > 0 else MINUS}{abs(quantity):,} {ticker}"
    words = {"deposit": "Deposit from the stand-in bank", "withdrawal": "Withdrawal to the stand-in bank"}
    return words.get(kind, kind.capitalize())


BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "a Mac"))


@register.filter
def device(user_agent: str) -> str:
    """Firefox on Windows, of what a browser says of itself, as far as it is known."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "A browser")
    system = next((name for mark, name in (*SYSTEMS, ("Linux", "Linux")) if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser


@register.simple_tag
def icon(name: str) -> SafeString:
    """A drawing beside words, or above them; never instead of them."""
    address = f"{static('icons.svg')}#{name}"
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}"/></svg>', address)


@register.inclusion_tag("parts/field.html")
def field(bound: Any, hint: str = "", prefix: str = "", **attributes: str) -> dict[str, Any]:
    """A form's field with its label, a hint, and what is wrong with it, tied to it for those who can't see it."""
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
