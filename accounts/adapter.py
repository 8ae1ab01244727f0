"""Sign-up opens an account. The rest of signing in is django-allauth's."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest

from accounts.customers import open_account
from accounts.models import Customer
from accounts.sign_in_limits import TooManyAttempts, check_attempt


class Adapter(DefaultAccountAdapter):
    """Opens an account for everybody who signs up, and limits attempts to sign in."""

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count an attempt to sign in.

        Raises:
            ValidationError: There were too many of them.
        """
        email = str(credentials.get("email") or credentials.get("username") or "")
        try:
            check_attempt(email, self.get_client_ip(request))
        except TooManyAttempts:
            raise self.validation_error("too_many_login_attempts") from None

    def send_account_already_exists_mail(self, email: str) -> None:
        """Tell the owner of an email address that somebody signed up with it.

        Hashes a password too, as signing up with a new address does: else the time would tell which addresses have an
        account.
        """
        make_password("an address that has an account already")
        super().send_account_already_exists_mail(email)

    def save_user(self, request: HttpRequest, user: Customer, form: Any, commit: bool = True) -> Customer:
        """Save the new customer and their balance in one transaction; only fill in the fields if `commit` is false."""
        super().save_user(request, user, form, commit=False)
        user.name = form.cleaned_data.get("name", "")
        if commit:
            with transaction.atomic(durable=True):
                open_account(user)
        return user
