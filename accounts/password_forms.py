"""Forms that ask for the current password."""

from typing import Any

from allauth.account import forms
from allauth.account.adapter import get_adapter
from allauth.core import context


class ChangePasswordForm(forms.ChangePasswordForm):
    """Changes the password. Whoever has taken over a session must not guess the current one here."""

    def clean_oldpassword(self) -> Any:
        """Count the attempt as an attempt to sign in, and check the password. Raises ValidationError."""
        get_adapter().pre_authenticate(context.request, email=self.user.email)
        return super().clean_oldpassword()
