"""Sign-up opens an account. The rest of signing in is django-allauth's."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.http import HttpRequest

from accounts.customers import open_account
from accounts.models import Customer


class Adapter(DefaultAccountAdapter):
    """Opens an account for everybody who signs up."""

    def save_user(self, request: HttpRequest, user: Customer, form: Any, commit: bool = True) -> Customer:
        """Save the new customer and their balance in one transaction; only fill in the fields if `commit` is false."""
        super().save_user(request, user, form, commit=False)
        user.name = form.cleaned_data.get("name", "")
        if commit:
            with transaction.atomic(durable=True):
                open_account(user)
        return user
