"""Our adapters for django-allauth: sign-up opens an account, and second factors are encrypted."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from allauth.core import context as allauth_context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare

from accounts.customers import open_account
from accounts.mail import as_html, send
from accounts.models import Customer
from accounts.sign_in_limits import TooManyAttempts, check_attempt
from web import encryption

BEGAN_WITH = "sign_in_began_with"  # in the session: a hash of the password


class Adapter(DefaultAccountAdapter):
    """Opens an account on sign-up, limits attempts to sign in, and sends mail as text and HTML."""

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count an attempt to sign in.

        Raises:
            ValidationError: There were too many attempts.
        """
        email = str(credentials.get("email") or credentials.get("username") or "")
        try:
            check_attempt(email, self.get_client_ip(request))
        except TooManyAttempts:
            raise self.validation_error("too_many_login_attempts") from None

    def pre_login(self, request: HttpRequest, user: Any, **details: Any) -> HttpResponse | None:
        """Note the password that is valid as a sign-in begins."""
        request.session[BEGAN_WITH] = user.get_session_auth_hash()
        response: HttpResponse | None = super().pre_login(request, user, **details)
        return response

    def login(self, request: HttpRequest, user: Any) -> None:
        """Sign in, unless the password was changed or the account deactivated since the sign-in began.

        Its second step may follow minutes later, and a new password ends what began with the old one.

        Raises:
            ImmediateHttpResponse: It was. The browser is sent to the beginning of the sign-in.
        """
        began_with = request.session.pop(BEGAN_WITH, "")
        if not (user.is_active and constant_time_compare(began_with, user.get_session_auth_hash())):
            clear_login(request)
            raise ImmediateHttpResponse(redirect("account_login"))
        super().login(request, user)

    def render_mail(
        self, template_prefix: str, email: Any, context: dict[str, Any], headers: dict[str, str] | None = None
    ) -> EmailMessage:
        """Render a message as text, and the same text as HTML."""
        message = super().render_mail(template_prefix, email, context, headers)
        if isinstance(message, EmailMultiAlternatives) and not message.alternatives:
            message.attach_alternative(as_html(str(message.body)), "text/html")
        return message

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a message about signing in or security in the name of the brokerage, inside or outside a request."""
        site = {"name": settings.MFA_TOTP_ISSUER, "domain": settings.MFA_TOTP_ISSUER}
        filled = {"request": allauth_context.request, "email": email, "current_site": site} | context
        send([self.render_mail(template_prefix, email, filled)], is_urgent=True)

    def send_account_already_exists_mail(self, email: str) -> None:
        """Tell the owner of an email address that somebody signed up with it.

        Also hashes a password, as sign-up with a new address does. Otherwise the response time would show which
        addresses have an account.
        """
        make_password("an address that has an account already")
        super().send_account_already_exists_mail(email)

    def save_user(self, request: HttpRequest, user: Customer, form: Any, commit: bool = True) -> Customer:
        """Save the new customer with an empty balance in one transaction. Without `commit`, only fill in the fields."""
        super().save_user(request, user, form, commit=False)
        user.name = form.cleaned_data.get("name", "")
        if commit:
            with transaction.atomic(durable=True):
                open_account(user)
        return user


class SecondFactors(DefaultMFAAdapter):
    """Encrypts the secrets of authenticator apps and recovery codes at rest."""

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Decrypt a secret. A secret stored before encryption was introduced is returned as it is.

        Raises:
            Undecryptable: It was encrypted with a key that we don't have.
        """
        return encryption.decrypt(encrypted_text) if encryption.is_encrypted(encrypted_text) else encrypted_text

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the domain that a passkey belongs to, and the brokerage's name as the device shows it."""
        return super().get_public_key_credential_rp_entity() | {"name": settings.MFA_TOTP_ISSUER}
