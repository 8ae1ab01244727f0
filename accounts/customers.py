"""Customers: open their accounts."""

from typing import Any

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import Balance, Customer, normal_email


class EmailTaken(Exception):
    """A customer with this email address already exists."""


def open_account(customer: Customer) -> None:
    """Save a new customer together with an empty balance. Needs a transaction."""
    customer.save(force_insert=True)
    Balance.objects.create(customer=customer)


def create_customer(email: str, password: str | None, *, name: str = "", **flags: Any) -> Customer:
    """Open an account with an empty balance. The caller vouches for the email address, which counts as verified.

    Idempotent: no. A second call with the same email address raises EmailTaken.

    Args:
        email: The email address.
        password: If None, nobody can sign in with a password until one is set.
        name: The customer's name.
        flags: Other fields of the Customer.

    Raises:
        ValidationError: The email address is invalid, or the name can't be stored.
        EmailTaken: The email address already has an account.
    """
    email = normal_email(email)
    customer = Customer(email=email, name=name, **flags)
    try:
        customer.clean_fields(exclude={"password"})
    except ValidationError as error:
        if "email" in error.message_dict:
            raise ValidationError(f"“{email}” is not an email address.") from None
        raise
    customer.set_password(password)
    try:
        with transaction.atomic():
            open_account(customer)
            EmailAddress.objects.create(user=customer, email=email, primary=True, verified=True)
    except IntegrityError as error:
        if Customer.objects.filter(email=email).exists():
            raise EmailTaken(f"{email} already has an account.") from None
        raise error
    return customer
