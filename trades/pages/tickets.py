"""The form of the ticket."""

import re
from decimal import Decimal
from typing import Any

from django import forms

from exchange import prices
from trades.place import QUANTITY_MAX
from web.templatetags.figures import usd

SHARES, DOLLARS = "shares", "dollars"
AMOUNT = re.compile(r"\d{1,12}(\.\d{1,2})?", re.ASCII)


class TicketForm(forms.Form):
    """A market order for a number of whole shares, or for as many whole shares as an amount in dollars buys."""

    type = forms.ChoiceField(choices=[("BUY", "Buy"), ("SELL", "Sell")], initial="BUY", widget=forms.RadioSelect)
    unit = forms.ChoiceField(
        choices=[(SHARES, "Shares"), (DOLLARS, "Dollars")], initial=SHARES, required=False, label="Counted in"
    )
    quantity = forms.CharField(
        max_length=16,
        label="Quantity",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "placeholder": "0"}),
        error_messages={"required": "How many shares? Enter a whole number, such as 5."},
    )

    def __init__(self, ticker: str, data: Any = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.ticker = ticker

    def clean_quantity(self) -> int:
        text = self.cleaned_data["quantity"].replace(",", "").strip()
        if self.cleaned_data.get("unit") == DOLLARS:
            return self._shares_for(text.removeprefix("$"))
        if not (text.isascii() and text.isdecimal()):
            raise forms.ValidationError("Whole shares only: enter a number such as 5.")
        if not 1 <= int(text) <= QUANTITY_MAX:
            raise forms.ValidationError(f"A trade can be for 1 to {QUANTITY_MAX:,} shares.")
        return int(text)

    def _shares_for(self, text: str) -> int:
        if not AMOUNT.fullmatch(text):
            raise forms.ValidationError("Enter an amount in dollars, such as 250 or 99.50.")
        quote = prices.quotes([self.ticker]).get(self.ticker)
        if quote is None:
            raise forms.ValidationError("There is no price right now. Enter a number of shares instead.")
        shares = int(Decimal(text) // quote.price)
        if shares < 1:
            raise forms.ValidationError(f"One share costs about {usd(quote.price)}.")
        if shares > QUANTITY_MAX:
            raise forms.ValidationError(f"A trade can be for 1 to {QUANTITY_MAX:,} shares.")
        return shares
