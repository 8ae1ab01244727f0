"""What signing up does here: it opens an account. Everything else of signing in is django-allauth's."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.http import HttpRequest

from accounts.customers import open_account
from accounts.models import Customer


class Adapter(DefaultAccountAdapter):
    """Opens an account for who signs up, customer and balance in one transaction."""

    def save_user(self, request: HttpRequest, user: Customer, form: Any, commit: bool = True) -> Customer:
        """The new customer, with an account unless it is not to be kept yet. Needs no transaction: it is one."""
        super().save_user(request, user, form, commit=False)
        user.name = form.cleaned_data.get("name", "")
        if commit:
            with transaction.atomic(durable=True):
                open_account(user)
        return user
