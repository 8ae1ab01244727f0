"""The form of a ticket."""

from typing import Any

from django import forms

from trades.place import QUANTITY_MAX


class TicketForm(forms.Form):
    """A market order for whole shares."""

    type = forms.ChoiceField(choices=[("BUY", "Buy"), ("SELL", "Sell")], initial="BUY", widget=forms.RadioSelect)
    quantity = forms.CharField(
        max_length=12,
        label="Shares",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "placeholder": "0"}),
        error_messages={"required": "How many shares? Enter a whole number, such as 5."},
    )

    def __init__(self, ticker: str, data: Any = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.ticker = ticker

    def clean_quantity(self) -> int:
        text = self.cleaned_data["quantity"].replace(",", "").strip()
        if not (text.isascii() and text.isdecimal()):
            raise forms.ValidationError("Whole shares only: enter a number such as 5.")
        if not 1 <= int(text) <= QUANTITY_MAX:
            raise forms.ValidationError(f"A trade can be for 1 to {QUANTITY_MAX:,} shares.")
        return int(text)
