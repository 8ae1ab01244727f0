"""Opening an account."""

from typing import Any

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import Balance, Customer, normal_email


class EmailTaken(Exception):
    """A customer with this e-mail address exists already."""


def open_account(customer: Customer) -> None:
    """Save a new customer together with the empty balance that makes an account of them. Needs a transaction."""
    customer.save(force_insert=True)
    Balance.objects.create(customer=customer)


def create_customer(email: str, password: str | None, *, name: str = "", **flags: Any) -> Customer:
    """Open an account with an empty balance. Not idempotent: a second call with the same e-mail raises.

    password None: nobody can sign in with a password until one is set.
    Who calls this vouches for the address: nobody is asked to confirm it. Raises ValidationError (not an e-mail
    address, no name that could be kept), EmailTaken.
    """
    email = normal_email(email)
    customer = Customer(email=email, name=name, **flags)
    try:
        customer.clean_fields(exclude={"password"})
    except ValidationError as error:
        if "email" in error.message_dict:
            raise ValidationError(f"“{email}” is not an e-mail address.") from None
        raise
    customer.set_password(password)
    try:
        with transaction.atomic():
            open_account(customer)
            EmailAddress.objects.create(user=customer, email=email, primary=True, verified=True)
    except IntegrityError as error:
        if Customer.objects.filter(email=email).exists():
            raise EmailTaken(f"{email} has an account already.") from None
        raise error
    return customer
