"""The forms of a customer's account."""

from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest

from accounts.models import Customer, Theme, Token
from accounts.networks import NETWORKS_MAX, network
from web.timezones import NAMES

AMOUNT_MAX = Decimal("10000000")  # of one transfer on a page, USD
ZONES = sorted(name for name in NAMES if "/" in name and not name.startswith(("Etc/", "posix", "right", "SystemV")))


class NameForm(forms.Form):
    """What sign-up asks for besides email address and password."""

    name = forms.CharField(
        max_length=120, label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True})
    )
    field_order = ("name", "email", "password1")

    def signup(self, request: HttpRequest, user: Customer) -> None:
        """Do nothing, because the adapter has saved the name."""


class AmountForm(forms.Form):
    """The amount of a deposit or a withdrawal."""

    amount = forms.CharField(
        max_length=32, widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    )
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def clean_amount(self) -> Decimal:
        text = self.cleaned_data["amount"].replace("$", "").replace(",", "").strip()
        if not text.replace(".", "", 1).isascii() or not text.replace(".", "", 1).isdecimal():
            raise forms.ValidationError("Enter an amount in dollars, such as 250 or 99.50.")
        amount = Decimal(text)
        if not 0 < amount <= AMOUNT_MAX:  # checked first, because a number of 28 digits can't be rounded
            raise forms.ValidationError(f"One transfer can move $0.01 to ${AMOUNT_MAX:,}.")
        if amount != round(amount, 2):
            raise forms.ValidationError("Enter at most two digits after the decimal point.")
        return amount


class ProfileForm(forms.ModelForm):
    """The customer's name, time zone, and theme."""

    class Meta:
        model = Customer
        fields = ("name", "time_zone", "theme")

    name = forms.CharField(max_length=120, label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name"}))
    time_zone = forms.ChoiceField(
        required=False,
        label="Time zone",
        help_text="Pages show times in this time zone. Market hours are always Eastern.",
        choices=[("", "My device's time zone"), *((name, name.replace("_", " ")) for name in ZONES)],
    )
    theme = forms.ChoiceField(
        choices=[(Theme.SYSTEM, "Same as my device"), (Theme.LIGHT, "Light"), (Theme.DARK, "Dark")],
        widget=forms.RadioSelect,
        label="Appearance",
    )


class TokenForm(forms.Form):
    """A token for a program."""

    name = forms.CharField(
        max_length=80,
        label="Name",
        help_text="A name by which you will recognize it, such as “spreadsheet at home”.",
        error_messages={"required": "Enter a name by which you will recognize it."},
    )
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        widget=forms.CheckboxSelectMultiple,
        initial=[Token.Scope.READ],
        choices=[
            (Token.Scope.READ, "Read balances, positions and trades"),
            (Token.Scope.TRADE, "Place and cancel trades"),
            (Token.Scope.FUNDS, "Deposit and withdraw"),
            (Token.Scope.WEBHOOKS, "Have your events posted to a server"),
        ],
        error_messages={"required": "Choose at least one permission."},
    )
    days = forms.TypedChoiceField(
        required=False,
        coerce=int,
        empty_value=None,
        label="Ends",
        choices=[("", "Never, until you end it"), (30, "In 30 days"), (90, "In 90 days"), (365, "In a year")],
    )

    addresses = forms.CharField(
        required=False,
        max_length=1000,
        label="Only from these addresses",
        help_text="Such as 203.0.113.7 or 203.0.113.0/24, separated by spaces. Leave empty to allow any address.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_addresses(self) -> list[str]:
        """Return the networks."""
        written = self.cleaned_data["addresses"].replace(",", " ").split()
        if len(written) > NETWORKS_MAX:
            raise forms.ValidationError(f"Enter at most {NETWORKS_MAX} addresses.")
        try:
            return [network(text) for text in written]
        except ValueError:
            raise forms.ValidationError("Enter addresses such as 203.0.113.7 or 203.0.113.0/24.") from None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["name"] = cleaned.get("name", "").strip()
        return cleaned
