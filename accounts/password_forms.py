"""Forms that replace the password."""

from typing import Any

from allauth.account import forms
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.password_reset_by_code import PasswordResetVerificationProcess
from allauth.core import context
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

RESET_BEGAN_WITH = "reset_began_with"  # in the session: a hash of the password


class ChangePasswordForm(forms.ChangePasswordForm):
    """Changes the password. Whoever has taken over a session must not guess the current one here."""

    def clean_oldpassword(self) -> Any:
        """Count the attempt as an attempt to sign in, and check the password. Raises ValidationError."""
        get_adapter().pre_authenticate(context.request, email=self.user.email)
        return super().clean_oldpassword()


class ResetPasswordForm(forms.ResetPasswordKeyForm):
    """Sets a new password after a mailed code was entered, unless the password was changed in the meantime."""

    def clean(self) -> Any:
        """Check that the password is still that of when the code was entered. Raises ValidationError."""
        began_with = context.request.session.get(RESET_BEGAN_WITH, "")
        if not constant_time_compare(began_with, self.user.get_session_auth_hash()):
            raise ValidationError("Your password was changed in the meantime. Ask for a new code.")
        return super().clean()


def note_reset(request: HttpRequest) -> None:
    """Note the password that is valid as the code of a reset is entered."""
    process = PasswordResetVerificationProcess.resume(request)
    if process and process.user:
        request.session[RESET_BEGAN_WITH] = process.user.get_session_auth_hash()
