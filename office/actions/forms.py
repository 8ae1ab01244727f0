"""The forms of actions. Text is cleaned so that the database accepts it."""

from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.adjustments import LARGEST_POSITION
from accounts.models import CASH, Adjustment, Customer
from accounts.money import LARGEST_AMOUNT
from exchange import calendar
from exchange.market import TICKER
from exchange.messages import storable
from exchange.models import Stock
from office.roles import Role
from trades.models import FeeRate, TradingControl
from web.timezones import eastern_today

Kind = TradingControl.Kind
REQUESTS_A_MINUTE_MAX = 1_000_000  # more than one token can send
ORDER_LIMITS = [
    (Kind.SHARES_MAX, "Shares in one order"),
    (Kind.NOTIONAL_MAX, "USD in one order"),
    (Kind.ORDERS_A_MINUTE_MAX, "Orders a minute"),
]


class Form(forms.Form):
    """The base of all forms of actions: it removes what PostgreSQL rejects from text."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        return {name: storable(value, 2000) if isinstance(value, str) else value for name, value in cleaned.items()}


class EmptyForm(Form):
    """Asks for nothing."""


def _reason(label: str = "Reason", help_text: str = "Kept in the audit log.") -> forms.CharField:
    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})
    return forms.CharField(max_length=500, label=label, widget=widget, help_text=help_text)


def _rate(label: str, help_text: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        help_text=help_text,
        initial=0,
        min_value=0,
        max_value=Decimal("0.999999999999"),
        max_digits=14,
        decimal_places=12,
        widget=UnfoldAdminTextInputWidget,
    )


def _amount(label: str, help_text: str = "", minimum: str = "0.0001") -> forms.DecimalField:
    return forms.DecimalField(
        required=False,
        label=label,
        help_text=help_text,
        max_digits=19,
        decimal_places=4,
        min_value=Decimal(minimum),
        widget=UnfoldAdminTextInputWidget,
    )


class ReasonForm(Form):
    """Asks for the reason."""

    reason = _reason()


class ResolutionForm(Form):
    """Asks how an exception was resolved."""

    reason = _reason("How it was resolved", "")


class NoteForm(Form):
    """Asks for the text of a note."""

    text = forms.CharField(max_length=2000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))


class ConfirmForm(ReasonForm):
    """Asks for the reason, and for a word that confirms an action with wide effects."""

    WORD = "HALT"
    confirm = forms.CharField(
        max_length=20, label=f"Type {WORD} to confirm", widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )
    field_order = ("reason", "confirm")

    def clean_confirm(self) -> str:
        """Accept only the word."""
        if self.cleaned_data["confirm"].strip() != self.WORD:
            raise forms.ValidationError(f"Type {self.WORD}, in capital letters.")
        return self.WORD


class DayForm(ReasonForm):
    """Asks for a day."""

    day = forms.DateField(widget=UnfoldAdminTextInputWidget, help_text="As 2026-12-24.")
    field_order: tuple[str, ...] = ("day", "reason")

    def clean_day(self) -> date:
        """Accept a day that the calendar supports."""
        day: date = self.cleaned_data["day"]
        if not calendar.FIRST_DAY <= day <= calendar.LAST_DAY:
            raise forms.ValidationError(f"Enter a day from {calendar.FIRST_DAY} to {calendar.LAST_DAY}.")
        return day


class ClosureForm(DayForm):
    """Asks for a day on which the market stays closed or closes early."""

    closes = forms.TimeField(
        required=False,
        label="Early close, Eastern time",
        widget=UnfoldAdminTextInputWidget,
        help_text="For example 13:00. Leave empty if the market stays closed all day.",
    )
    field_order = ("day", "closes", "reason")


class CorporateActionForm(ReasonForm):
    """Asks for a corporate action that the exchange has not announced."""

    kind = forms.ChoiceField(
        choices=[
            *(("CASH_DIVIDEND", "Cash dividend"), ("SPLIT", "Split")),
            *(("TICKER_CHANGE", "Ticker change"), ("DELISTING", "Delisting")),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    ticker = forms.CharField(max_length=12, label="Stock", widget=UnfoldAdminTextInputWidget)
    ex_date = forms.DateField(label="Ex-date", widget=UnfoldAdminTextInputWidget, help_text="As 2026-12-24.")
    pay_date = forms.DateField(required=False, widget=UnfoldAdminTextInputWidget, help_text="Only for a dividend.")
    amount_per_share = _amount("Dividend per share, USD")
    numerator = forms.IntegerField(
        required=False, min_value=1, max_value=100_000, label="New shares", widget=UnfoldAdminTextInputWidget
    )
    denominator = forms.IntegerField(
        required=False, min_value=1, max_value=100_000, label="For old shares", widget=UnfoldAdminTextInputWidget
    )
    reference_price = _amount(
        "Price per share after the split, USD", "Cash in lieu of fractions is paid at this price."
    )
    new_ticker = forms.CharField(
        max_length=12, required=False, widget=UnfoldAdminTextInputWidget, help_text="Only for a ticker change."
    )
    field_order = (
        *("kind", "ticker", "ex_date", "pay_date", "amount_per_share"),
        *("numerator", "denominator", "reference_price", "new_ticker", "reason"),
    )
    NEEDED = {
        "CASH_DIVIDEND": ("pay_date", "amount_per_share"),
        "SPLIT": ("numerator", "denominator"),
        "TICKER_CHANGE": ("new_ticker",),
    }

    def clean_ticker(self) -> str:
        """Accept a stock that is or was listed."""
        ticker: str = self.cleaned_data["ticker"].strip().upper()
        if not Stock.objects.filter(ticker=storable(ticker)).exists():
            raise forms.ValidationError("There is no such stock.")
        return ticker

    def clean(self) -> dict[str, Any]:
        """Require the fields that the kind needs, and drop the others."""
        cleaned = super().clean()
        required = self.NEEDED.get(cleaned.get("kind", ""), ())
        for name in required:
            if name not in self.errors and cleaned.get(name) in {None, ""}:
                self.add_error(name, "This kind of corporate action needs it.")
        if cleaned.get("pay_date") and cleaned.get("ex_date") and cleaned["pay_date"] < cleaned["ex_date"]:
            self.add_error("pay_date", "Must not be before the ex-date.")
        if cleaned.get("numerator") and cleaned.get("numerator") == cleaned.get("denominator"):
            self.add_error("numerator", "Must differ from the old shares.")
        inapplicable = {name for names in self.NEEDED.values() for name in names} - set(required)
        new_ticker = str(cleaned.get("new_ticker") or "").strip().upper() if "new_ticker" in required else ""
        if new_ticker and (not TICKER.fullmatch(new_ticker) or new_ticker == cleaned.get("ticker")):
            self.add_error("new_ticker", "Must be another ticker: letters, digits, dots and hyphens.")
        return cleaned | dict.fromkeys(inapplicable) | {"new_ticker": new_ticker}


class FeeRateForm(Form):
    """Asks for a rate of a regulatory fee."""

    kind = forms.ChoiceField(choices=FeeRate.Kind.choices, label="Fee", widget=UnfoldAdminSelectWidget)
    first_day = forms.DateField(
        label="For trades from", widget=UnfoldAdminTextInputWidget, help_text="A day after today, such as 2026-12-01."
    )
    last_day = forms.DateField(
        required=False, label="Until", widget=UnfoldAdminTextInputWidget, help_text="Leave empty for no end."
    )
    per_usd = _rate("USD per USD of the amount", "27.80 USD per million is 0.0000278.")
    per_share = _rate("USD per share", "For example 0.000166.")
    maximum = _amount("Maximum per trade, USD", minimum="0.01")
    reason = _reason("Source", "The official notice. Customers see it.")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first and first <= eastern_today():
            self.add_error("first_day", "A rate must begin after today, because today's trades have paid their fees.")
        if first and last and last < first:
            self.add_error("last_day", "Must not be before the first day.")
        return cleaned


class EndTradeForm(ReasonForm):
    """Asks how a trade ended according to the exchange."""

    status = forms.ChoiceField(
        choices=[("FILLED", "Filled"), ("REJECTED", "Rejected")], label="How it ended", widget=UnfoldAdminSelectWidget
    )
    price = _amount("Price per share, USD", "Only if it was filled.")
    field_order = ("status", "price", "reason")


class StaffForm(ReasonForm):
    """Asks for roles."""

    roles = forms.MultipleChoiceField(
        choices=Role.choices, required=False, widget=forms.CheckboxSelectMultiple, help_text="None: no longer staff."
    )
    field_order = ("roles", "reason")


class NewStaffForm(ReasonForm):
    """Asks for an email address and a role."""

    email = forms.EmailField(max_length=254, widget=UnfoldAdminTextInputWidget)
    name = forms.CharField(max_length=120, required=False, widget=UnfoldAdminTextInputWidget)
    role = forms.ChoiceField(choices=Role.choices, widget=UnfoldAdminSelectWidget)
    field_order = ("email", "name", "role", "reason")


class CasesForm(ResolutionForm):
    """Asks how several exceptions were resolved. `ids` names them, separated by commas."""

    ids = forms.CharField(max_length=10_000, widget=forms.HiddenInput)

    def clean_ids(self) -> list[int]:
        """Return the ids as numbers."""
        texts = self.cleaned_data["ids"].split(",")
        if not all(text.isascii() and text.isdigit() and len(text) <= 18 for text in texts):
            raise forms.ValidationError("These are not ids of exceptions.")
        return [int(text) for text in texts]


class StockForm(ReasonForm):
    """Asks for a stock."""

    ticker = forms.CharField(max_length=12, widget=UnfoldAdminTextInputWidget, help_text="As the exchange lists it.")
    field_order = ("ticker", "reason")

    def clean_ticker(self) -> str:
        return listed_ticker(self.cleaned_data["ticker"])


def listed_ticker(text: str) -> str:
    """Return the ticker of a stock that is or was listed.

    Raises:
        ValidationError: There is no such stock.
    """
    ticker = storable(text.strip().upper())
    if not Stock.objects.filter(ticker=ticker).exists():
        raise forms.ValidationError("The exchange doesn't list this stock.")
    return ticker


class OrderLimitForm(ReasonForm):
    """Asks for an order limit, for one customer or for everyone."""

    kind = forms.ChoiceField(choices=ORDER_LIMITS, label="Limit", widget=UnfoldAdminSelectWidget)
    customer = forms.CharField(
        required=False,
        label="Customer id",
        widget=UnfoldAdminTextInputWidget,
        help_text="Leave empty for all customers.",
    )
    value = _amount("Maximum", "Leave empty to remove the limit.")
    field_order = ("kind", "customer", "value", "reason")

    def clean_customer(self) -> Customer | None:
        """Return the customer with this id, or None for everyone."""
        text = self.cleaned_data["customer"].strip()
        if not text:
            return None
        is_number = text.isascii() and text.isdigit() and len(text) <= 18
        customer = Customer.objects.filter(id=int(text)).first() if is_number else None
        if customer is None:
            raise forms.ValidationError("There is no customer with this id.")
        return customer


def _requests(label: str, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(
        required=False,
        min_value=1,
        max_value=REQUESTS_A_MINUTE_MAX,
        label=label,
        widget=UnfoldAdminTextInputWidget,
        help_text=help_text,
    )


class ApiLimitForm(ReasonForm):
    """Asks how many requests a minute a customer may make."""

    reads_a_minute = _requests("Reads a minute", "Requests that only read. Leave empty for the standard limit.")
    orders_a_minute = _requests(
        "Orders a minute",
        "Requests that change something. Leave empty for the standard limit. To stop trading, freeze it instead.",
    )
    field_order = ("reads_a_minute", "orders_a_minute", "reason")


class AdjustmentForm(Form):
    """Asks for an adjustment of cash, or of whole shares. Added shares need a cost."""

    ticker = forms.CharField(
        required=False,
        max_length=12,
        label="Stock",
        widget=UnfoldAdminTextInputWidget,
        help_text="As the exchange lists it. Leave empty for cash.",
    )
    change = forms.DecimalField(
        max_digits=19,
        decimal_places=4,
        min_value=-LARGEST_AMOUNT,
        max_value=LARGEST_AMOUNT,
        label="USD or shares",
        widget=UnfoldAdminTextInputWidget,
        help_text="Positive to add to the account, negative to take out.",
    )
    price = forms.DecimalField(
        required=False,
        max_digits=19,
        decimal_places=4,
        min_value=Decimal(0),
        label="Cost per share, USD",
        widget=UnfoldAdminTextInputWidget,
        help_text="Only for shares that are added: the cost basis of each. It moves no cash.",
    )
    kind = forms.ChoiceField(choices=Adjustment.Reason, label="Kind", widget=UnfoldAdminSelectWidget)
    reason = _reason(help_text="What happened, and who asked for it.")

    def clean_ticker(self) -> str:
        return listed_ticker(self.cleaned_data["ticker"]) if self.cleaned_data["ticker"].strip() else CASH

    def clean_change(self) -> Decimal:
        """Reject an adjustment of zero."""
        change: Decimal = self.cleaned_data["change"]
        if not change:
            raise forms.ValidationError("Enter an amount other than zero.")
        return change

    def clean(self) -> dict[str, Any]:
        """Check that the fields fit together."""
        cleaned = super().clean()
        ticker, change, price = cleaned.get("ticker"), cleaned.get("change"), cleaned.get("price")
        if self.errors or ticker is None or change is None:
            return cleaned
        adds_shares = ticker != CASH and change > 0
        if ticker != CASH and (change % 1 or abs(change) > LARGEST_POSITION):
            self.add_error("change", f"Enter a whole number of shares, at most {LARGEST_POSITION:,}.")
        if adds_shares and price is None:
            self.add_error("price", "Enter the cost per share, or 0 if the shares cost nothing.")
        if not adds_shares and price is not None:
            self.add_error("price", "Only shares that are added have a cost.")
        return cleaned
