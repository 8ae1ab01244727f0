"""Passkeys: forms that refuse malformed credentials.

fido2 parses what a browser posts, and raises a different error for each kind of malformed credential.
django-allauth expects a few of them; the rest would be server errors.
"""

import struct
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import forms
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from django.core.exceptions import ValidationError
from django.forms import BooleanField, CharField

INVALID_CREDENTIAL = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)
NAME_LENGTH_MAX = 80


def _refused() -> ValidationError:
    error: ValidationError = get_adapter().validation_error("incorrect_code")
    return error


class AddForm(forms.AddWebAuthnForm):
    """Adds a passkey, or a security key that is used after the password."""

    name = CharField(required=False, max_length=NAME_LENGTH_MAX)
    passwordless = BooleanField(
        required=False,
        initial=True,
        label="Sign in with it instead of a password",
        help_text="Your device asks for your fingerprint, face or PIN each time.",
    )

    def clean(self) -> dict[str, Any]:
        """Check the new credential. Raises ValidationError."""
        try:
            cleaned: dict[str, Any] = super().clean()
        except (*INVALID_CREDENTIAL, InvalidSignature, UnsupportedAlgorithm):
            raise _refused() from None
        return cleaned


class AuthenticateForm(forms.AuthenticateWebAuthnForm):
    """Asks for a passkey or security key after the password."""

    def clean_credential(self) -> Authenticator:
        """Check the credential. Raises ValidationError."""
        try:
            return super().clean_credential()
        except (*INVALID_CREDENTIAL, InvalidSignature, UnsupportedAlgorithm):
            raise _refused() from None


class LoginForm(AuthenticateForm, forms.LoginWebAuthnForm):
    """Signs in with a passkey alone."""


class ReauthenticateForm(AuthenticateForm, forms.ReauthenticateWebAuthnForm):
    """Asks for a passkey again before a change to how the account is protected."""
