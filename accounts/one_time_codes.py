"""One-time codes of authenticator apps and of mails: each counts once, and only a few may be tried.

django-allauth remembers used codes and counts attempts in the cache, which may lose both.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.forms import ConfirmEmailVerificationCodeForm, ConfirmPasswordResetCodeForm
from allauth.core import context
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

from accounts.models import Customer
from accounts.password_forms import note_reset
from web.rate_limits import count_attempt


@dataclass(frozen=True, slots=True)
class _Limit:
    """The most attempts within a window of time."""

    attempts_max: int
    seconds: int


OF_A_CUSTOMER = _Limit(10, 300)  # codes of an app, and recovery codes; correct ones count, too
OF_A_MAIL = _Limit(3, 900)  # guesses at one mailed code, which is not valid for longer


def accept_once(customer: Customer, secret: str, code: str) -> bool:
    """Accept an app's code, unless it or a later one was accepted before.

    Idempotent: no. The same code is accepted once, however many requests send it at the same time.

    Args:
        customer: The owner of the app.
        secret: The secret that the app shares with us.
        code: A code that may or may not be valid now.

    Source: RFC 6238, section 5.2.
    """
    for step in yield_hotp_counters_from_time():
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, step))):
            unused = Customer.objects.filter(pk=customer.pk, code_step__lt=step)
            return bool(unused.update(code_step=step))
    return False


def _count_attempt(subject: object, limit: _Limit) -> None:
    allowance = count_attempt(f"code:{subject}", limit.attempts_max, limit.seconds)
    if allowance.exceeded:
        raise get_account_adapter().validation_error("too_many_login_attempts")


class _AppCodeForm(forms.BaseAuthenticateForm):
    """Takes a code of an app, or a recovery code."""

    def clean_code(self) -> str:
        """Check the code. Raises ValidationError."""
        _count_attempt(self.user.pk, OF_A_CUSTOMER)
        code: str = super().clean_code()
        factor = self.authenticator
        if factor.type == Authenticator.Type.TOTP:
            secret = get_adapter().decrypt(factor.data["secret"])
            if not accept_once(self.user, secret, code):
                self._emit_authentication_failed(factor)
                raise get_adapter().validation_error("incorrect_code")
        return code


class AuthenticateForm(_AppCodeForm, forms.AuthenticateForm):
    """Asks for a code after the password."""


class ReauthenticateForm(_AppCodeForm, forms.ReauthenticateForm):
    """Asks for a code again before a change to how the account is protected, and in the back office."""


class ActivateForm(ActivateTOTPForm):
    """Asks for the first code of a new app, which doesn't count again as a sign-in."""

    def clean_code(self) -> str:
        """Check the code. Raises ValidationError."""
        _count_attempt(self.user.pk, OF_A_CUSTOMER)
        code: str = super().clean_code()
        if not accept_once(self.user, self.secret, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class _MailedCodeForm:
    """Takes a code from a mail."""

    expected_code: str | None

    def clean_code(self) -> Any:
        """Check the code. Raises ValidationError."""
        if self.expected_code:
            _count_attempt(sha256(self.expected_code.encode()).hexdigest(), OF_A_MAIL)
        return super().clean_code()  # type: ignore[misc]


class EmailForm(_MailedCodeForm, ConfirmEmailVerificationCodeForm):
    """Asks for the code that verifies an email address."""


class PasswordResetForm(_MailedCodeForm, ConfirmPasswordResetCodeForm):
    """Asks for the code that allows a new password."""

    def clean_code(self) -> Any:
        """Check the code. Raises ValidationError."""
        code = super().clean_code()
        note_reset(context.request)
        return code
